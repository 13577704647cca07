//! What runs inside of a container: a shell that reads orders, built of nothing but its own commands.

/// The script. It finds the service among the processes of its own cgroup: all of them but those that somebody started through exec,
/// whose parent is outside, and but a first process that only minds others, which a signal from inside does not stop: an init, or a shell,
/// by whatever name its script is known. Where the data of a broker are, its indices tell, which it has mapped.
pub(super) const SCRIPT: &str = r#"
own() { g=; while IFS= read -r l; do g="$g$l "; done; }
group() { own 2>/dev/null <"/proc/$1/cgroup"; }
look() {
  l=; { read -r l <"/proc/$1/stat"; } 2>/dev/null; [ -n "$l" ] || return 1
  c=${l#*\(}; c=${c%\)*}; l=${l##*\) }; s=${l%% *}; l=${l#* }; u=${l%% *}
}
is_shell() { for n in /bin/sh /bin/bash /bin/dash /bin/ash /usr/bin/sh /usr/bin/bash; do [ "/proc/$1/exe" -ef "$n" ] && return 0; done 2>/dev/null; return 1; }
group $$; mine=$g
find_service() {
  all= first=
  for d in /proc/[0-9]*; do
    p=${d#/proc/}; [ "$p" != $$ ] && group "$p" && [ "$g" = "$mine" ] && look "$p" || continue
    if [ -z "$first" ] || [ "$p" -lt "$first" ]; then first=$p; fi
    all="$all $p:$u"
  done
  service= names= minder=
  for e in $all; do
    p=${e%:*}; [ "${e#*:}" != 0 ] || [ "$p" = "$first" ] || continue
    look "$p" || continue
    if [ "$p" = 1 ]; then
      case $c in tini|tini-static|dumb-init|docker-init|catatonit|s6-svscan|runit|pause|sh|dash|ash|bash) minder=$c; continue;; esac
      if [ "$all" != " $e" ] && is_shell 1; then minder=$c; continue; fi
    fi
    service="$service $p"; names="$names $c"
  done
}
states() { r=; for p in $service; do if look "$p"; then r="$r $p:$s:$c"; fi; done; echo "states$r"; }
first_is_service() { case " $service " in *" 1 "*) return 0;; esac; return 1; }
until_all() {
  i=0
  while [ $i -lt 3000 ]; do
    i=$((i+1)); done=1
    for p in $service; do look "$p" || continue; if [ "$1" = stopped ]; then [ "$s" = T ] || done=; else [ "$s" != T ] || done=; fi; done
    [ -z "$done" ] || break
  done
}
figure() { v=; { read -r v <"$1"; } 2>/dev/null; }
table() { f=; while read -r k w rest; do case $k in usage_usec|anon|file_mapped|total_rss|total_mapped_file) f="$f $k=$w";; esac; done; }
usage() {
  r=
  for n in cpu.stat memory.stat memory/memory.stat; do
    [ -r "/sys/fs/cgroup/$n" ] && table <"/sys/fs/cgroup/$n" && r="$r$f"
  done
  figure /sys/fs/cgroup/cpuacct/cpuacct.usage; [ -z "$v" ] || r="$r usage_nsec=$v"
  figure /sys/fs/cgroup/cpu.max; [ -z "$v" ] || r="$r quota=${v%% *} period=${v##* }"
  figure /sys/fs/cgroup/cpu/cpu.cfs_quota_us; if [ -n "$v" ]; then r="$r quota=$v"; figure /sys/fs/cgroup/cpu/cpu.cfs_period_us; r="$r period=$v"; fi
  n=0; { while read -r k rest; do case $k in cpu[0-9]*) n=$((n+1));; esac; done </proc/stat; } 2>/dev/null
  echo "usage online=$n$r"
}
meta_of() {
  while read -r x x x x x f; do
    case $f in */[0-9]*.index) f=${f%/*}; f=${f%/*}/meta.properties;; *) continue;; esac
    [ -r "$f" ] || continue
    r=; while IFS= read -r l; do case $l in cluster.id=*|node.id=*|broker.id=*) r="$r $l";; esac; done <"$f"
    echo "meta$r"; return 0
  done <"$1"
  return 1
}
meta() { for p in $service; do meta_of "/proc/$p/maps" 2>/dev/null && return; done; echo meta; }
echo ready
while read -r order; do
  find_service
  case $order in
    look) states;;
    stop) if first_is_service; then echo "first $names"; else kill -STOP $service 2>/dev/null; until_all stopped; states; fi;;
    go) kill -CONT $service 2>/dev/null; until_all going; states;;
    end) if first_is_service; then echo "sent SEGV$service"; for p in $service; do [ "$p" = 1 ] || kill -KILL "$p"; done; kill -SEGV 1; else echo "sent KILL$service"; kill -KILL $service; fi;;
    usage) usage;;
    meta) meta;;
    *) echo "unknown $order";;
  esac
done
"#;

#[cfg(test)]
mod tests {
    use super::SCRIPT;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    /// What the script answers to orders when it runs here, where its cgroup holds this test and more.
    fn answers(shell: &str, orders: &str) -> Vec<String> {
        let mut command = Command::new(shell);
        let started = command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("a shell");
        child.stdin.take().expect("a pipe").write_all(orders.as_bytes()).expect("writes");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let lines = lines.map(|line| line.expect("text")).collect();
        assert!(child.wait().expect("a child").success());
        lines
    }

    /// Of the functions alone.
    fn says(shell: &str, more: &str) -> String {
        let functions = SCRIPT.split("echo ready").next().expect("functions come first");
        let output = Command::new(shell).args(["-c", &format!("{functions}{more}")]).output().expect("a shell");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn a_script_is_known_by_the_shell_that_runs_it() {
        let ask = "if is_shell $P; then echo shell; else echo other; fi";
        assert_eq!(says("sh", &ask.replace("$P", "$$")), "shell");
        let own = std::process::id().to_string();
        assert_eq!(says("sh", &ask.replace("$P", &own)), "other");
    }

    #[test]
    fn the_data_of_a_broker_are_found_by_what_it_has_mapped() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let meta = "#\nversion=1\ncluster.id=abc-D_1\nnode.id=3\ndirectory.id=x\n";
        std::fs::write(at("meta.properties"), meta).expect("written");
        let index = at("__cluster_metadata-0/00000000000000000000.index");
        let maps = format!(
            "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n7f02-7f03 rw-p 00000000 00:00 0\n\
             7f04-7f05 rw-s 00000000 08:01 13    {index}\n"
        );
        std::fs::write(at("maps"), maps).expect("written");
        assert_eq!(says("sh", &format!("meta_of {}", at("maps"))), "meta cluster.id=abc-D_1 node.id=3");
        std::fs::write(at("maps"), "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n").expect("written");
        assert_eq!(says("sh", &format!("meta_of {} || echo none", at("maps"))), "none");
    }

    #[test]
    fn a_plain_shell_understands_it() {
        let lines = answers("sh", "look\nusage\nnonsense\nmeta\n");
        assert_eq!(lines[0], "ready");
        assert!(lines[1].starts_with("states "), "{lines:?}");
        assert!(lines[1].split(' ').skip(1).all(|entry| entry.split(':').count() >= 3), "{lines:?}");
        assert!(lines[2].starts_with("usage online="), "{lines:?}");
        assert_eq!(lines[3], "unknown nonsense");
        assert!(lines[4].starts_with("meta"), "{lines:?}");
    }
}
