"""The processes of the desk: Airflow, services, bootstrap, status."""
