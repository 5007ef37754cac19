"""The analytics backend: transport-free slices, thin edges around them, one composition root (`server.app`)."""

__version__ = "0.1.0"
