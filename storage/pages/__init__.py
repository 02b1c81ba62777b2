"""What people read of the record: stores that page, thin out and add up in the database. They change nothing."""
