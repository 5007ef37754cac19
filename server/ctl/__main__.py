"""`python -m server.ctl`: the same program as `analyticsctl`."""

from server.ctl.main import app

if __name__ == "__main__":
    app(prog_name="analyticsctl")
