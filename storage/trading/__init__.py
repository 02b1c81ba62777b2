"""Everything the desk decided, ordered and owns: tables and stores."""
