"""First on the path of the services that tests start: the product does not require scikit-learn, and XGBoost loads it where it is."""

msg = "hidden from the services: only tests use it"
raise ImportError(msg)
