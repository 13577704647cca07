"""A copy of the crate that has only some rooms and what these use: it compiles in a fraction of the time. For scripts/oracle and
scripts/mutation."""
import json, os, pathlib, re, shutil, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def is_test(path):
    return any(part in ("tests", "tests.rs", "oracle") or part.endswith("_tests.rs") for part in path.parts)


def files(folder):
    return sorted(folder.rglob("*.rs")) if folder.is_dir() else [folder.with_suffix(".rs")]


def with_what_they_use(rooms):
    """These rooms and, from room to room, those that they use. Their tests may use the whole house: see `without_upper_tests`."""
    needed, left = set(), list(rooms)
    while left:
        room = left.pop()
        if room in needed:
            continue
        needed.add(room)
        for path in files(ROOT / "src" / room):
            code = "\n".join(line.split("//")[0] for line in path.read_text().split("\n#[cfg(test)]")[0].splitlines())
            if not is_test(path.relative_to(ROOT)):
                left += re.findall(r"(?<!\$)crate::(\w+)", code)
                left += [room for group in re.findall(r"use crate::\{([^}]*)\}", code) for room in re.findall(r"(\w+)::", group)]
    return {room for room in needed if (ROOT / "src" / room).is_dir() or (ROOT / "src" / f"{room}.rs").is_file()}


def copy(folder, rooms):
    """Makes the copy; None instead of rooms means all of them."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.check_output(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, text=True).split("\0")
    kept = with_what_they_use(rooms) if rooms else None
    for file in filter(None, listed):
        parts = pathlib.Path(file).with_suffix("").parts
        if not (ROOT / file).is_file() or (kept and parts[0] == "src" and parts[1] not in kept | {"lib"}):
            continue
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, folder / file)
    if kept:
        (folder / "src/lib.rs").write_text("#![allow(dead_code, missing_docs, unused_imports)]\n" + "".join(f"pub(crate) mod {room};\n" for room in sorted(kept)))
        manifest = folder / "Cargo.toml"
        manifest.write_text(re.sub(r"\[\[bench\]\]\n(.+\n)+", "", manifest.read_text()))


def build(folder, optimised):
    """The test binary of the copy's library. The dependencies are those of the tests; only the crate itself is compiled otherwise."""
    command = ["cargo", "test", "--locked", "--lib", "--no-run", "--message-format=json-render-diagnostics",
               "--config", f"profile.dev.package.kscen.opt-level={optimised}", "--config", "profile.dev.package.kscen.debug=0"]
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target")} | os.environ
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("the copy does not compile")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "kscen":
            return message["executable"]
    sys.exit("no test binary was built")
