"""The analytics backend: transport-free slices, thin edges around them, one composition root (`server.app`)."""
