#!/usr/bin/env python3
"""Becomes `kscen serve` for the cluster of the run, which it calls `cluster`; its archives and its state lie beside those of the run.

usage: serve.py KSCEN PORT; KSCEN is the program, as a path or a name."""
import os
import pathlib
import shutil
import sys

kscen, port = sys.argv[1:3]
program = shutil.which(kscen)
if not program:
    sys.exit(f"there is no program {kscen}: build it with `make build`, or name another one with --var kscen=PATH")
folder = pathlib.Path(os.environ["KSCEN_ARCHIVE_DIR"], "service")
folder.mkdir(parents=True, exist_ok=True)
project = f"""default: cluster
environments:
  cluster:
    remote: {{}}
    kafka: {{ bootstrap: "{os.environ["KSCEN_KAFKA_BOOTSTRAP"]}" }}
    allow: [backup, restore, groups]
serve: {{ listen: "127.0.0.1:{port}", archives: archives, state: state }}
"""
file = folder / "kscen.yaml"
if not file.exists() or file.read_text() != project:
    file.write_text(project)
program = os.path.abspath(program)
os.chdir(folder)
os.execv(program, [program, "serve"])
