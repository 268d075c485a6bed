"""`director app`: the studio, in a browser."""

import os
import tempfile

from pipelines.surroundings import limit_threads, read_surroundings


def app_command(*, host: str, port: int) -> int:
    """Serve until interrupted."""
    surroundings = read_surroundings()
    limit_threads(surroundings)
    with tempfile.TemporaryDirectory(prefix="director-studio-") as cache:
        os.environ["GRADIO_TEMP_DIR"] = cache  # read once by gradio: pictures it keeps go with the server
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import uvicorn

        from director_diffusion.studio.server import build_server
        from pipelines.build import build_studio

        app = build_server(build_studio(surroundings))
        print(f"http://{host}:{port}", flush=True)
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
    return 0
