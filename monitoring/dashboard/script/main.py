"""The script that Streamlit runs, from the top, for every page and every change of one."""

from monitoring.dashboard.app import main

main()
