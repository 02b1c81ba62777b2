"""The script that Streamlit runs, alone in its folder: beside `pages` Streamlit would take those modules for scripts too."""
