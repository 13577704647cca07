//! Workers at the other end of streams in memory, on a mock cluster.

use super::Nobody;
use super::bench::{Bench, LIMIT, ensemble};
use crate::accounting::{Class, Ledger, RunIdentity};
use crate::kafka::{LogSink, OffsetReader};
use crate::load::afar::{UnitKind, UnitTask};
use crate::load::consume::{Tap, Tapped};
use crate::load::produce::rehearsal::RehearsedLoad;
use crate::worker::frame::{FrameKind, FrameReader, FrameWriter};
use crate::worker::message::{Down, Hello, Up, heard, say};
use crate::worker::{MemoryLink, serve};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Producers and members in so many workers: everything is accounted for, and the figures are whole.
fn everything_arrives(workers: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let links: Vec<MemoryLink> = (0..workers).map(|_| MemoryLink::real(runtime.handle())).collect();
    let ensemble = ensemble(&links).expect("workers");
    let bench = Bench::new();
    let mut group = bench.reader(Some("g"), 3, Some(ensemble.afar()));
    let mut alone = bench.reader(None, 1, Some(ensemble.afar()));
    let mut load = bench.load(3000, 3, Some(ensemble.afar()));
    assert!(load.effective_config().contains_key("message.timeout.ms"), "{:?}", load.effective_config());
    load.start(bench.clock).expect("it starts");
    let (report, senders) = load.join();
    let count = 3000;
    assert_eq!((report.fatal.as_deref(), report.sent, report.acked, report.due), (None, count, count, count));
    assert_eq!(
        [&report.ack_latency, &report.response_latency, &report.schedule_delay].map(|all| all.len()),
        [count; 3]
    );
    assert!(report.health.cpu_us > 0 && report.end_us >= report.last_ack_us, "{:?}", report.health);
    assert!(senders.iter().all(|sender| sender.complete && sender.sent == 1000 && sender.due_us(0).is_some()));
    for reader in [&mut group, &mut alone] {
        assert!(reader.drain(Instant::now() + LIMIT), "{:?}", reader.account(|account| account.positions()));
    }
    for reader in [group, alone] {
        let (report, account) = reader.join();
        let ledger = Ledger::new(&senders, [&account]).settle(None);
        assert_eq!((ledger.sheet.sent[0].read_once, ledger.read, ledger.drained), (count, count, true));
        assert!(ledger.classes.is_empty(), "{:?}", ledger.classes);
        assert_eq!((report.fatal, report.read, report.end_to_end_latency.len()), (None, count, count));
        assert!(report.lives.iter().all(|life| life.end.is_some()), "{:?}", report.lives);
    }
    let records = ensemble.close();
    let units: usize = records.iter().map(|record| record.units.len()).sum();
    assert_eq!((records.len(), units), (workers, 7));
    assert!(records.iter().all(|record| record.died.is_none() && record.told_bytes > 0), "{records:?}");
    assert!(records.iter().all(|record| record.clock_bound_us < 5_000), "{records:?}");
}

#[test]
fn everything_arrives_through_two_workers() {
    everything_arrives(2);
}

#[test]
fn everything_arrives_through_ten_workers() {
    everything_arrives(10);
}

/// What is read here was sent there 0.1 s before anybody here hears of it.
#[test]
fn a_reader_that_stays_here_finds_no_phantoms_of_a_load_elsewhere() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let links = [MemoryLink::real(runtime.handle()), MemoryLink::real(runtime.handle())];
    let ensemble = ensemble(&links).expect("workers");
    let bench = Bench::new();
    let looked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&looked);
    let tap: Tap = Arc::new(move |_: &Tapped<'_>| _ = counted.fetch_add(1, Ordering::Relaxed));
    let mut alone = bench.looking(None, 1, Some(ensemble.afar()), Some(Arc::clone(&tap)));
    let mut group = bench.looking(Some("g"), 2, Some(ensemble.afar()), Some(tap));
    let mut load = bench.load(3000, 2, Some(ensemble.afar()));
    load.start(bench.clock).expect("it starts");
    let (report, senders) = load.join();
    assert_eq!((report.fatal, report.acked), (None, 3000));
    for reader in [&mut alone, &mut group] {
        assert!(reader.drain(Instant::now() + LIMIT), "{:?}", reader.account(|account| account.positions()));
    }
    for reader in [alone, group] {
        let (report, account) = reader.join();
        let ledger = Ledger::new(&senders, [&account]).settle(None);
        assert!(ledger.classes.is_empty(), "{:?}", ledger.classes);
        assert_eq!((report.fatal, report.read, ledger.sheet.sent[0].read_once), (None, 3000, 3000));
        assert!(report.lives.iter().all(|life| life.end.is_some()), "{:?}", report.lives);
    }
    assert_eq!(looked.load(Ordering::Relaxed), 6000);
    let units: usize = ensemble.close().iter().map(|record| record.units.len()).sum();
    assert_eq!(units, 2, "the producers");
}

#[test]
fn a_reader_that_ends_by_a_defect_says_so_wherever_it_runs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let ensemble = ensemble(&[MemoryLink::real(runtime.handle())]).expect("a worker");
    for afar in [None, Some(ensemble.afar())] {
        let bench = Bench::new();
        let tap: Tap = Arc::new(|_: &Tapped<'_>| panic!("a defect, for a test"));
        let reader = bench.looking(None, 1, afar, Some(tap));
        let mut load = bench.load(10, 1, None);
        load.start(bench.clock).expect("it starts");
        let _ = load.join();
        let (live, deadline) = (reader.live(), Instant::now() + LIMIT);
        while !live.is_failed() {
            assert!(Instant::now() < deadline, "its end was not noticed");
            std::thread::yield_now();
        }
        let (report, _) = reader.join();
        assert!(report.fatal.is_some_and(|fatal| fatal.contains("defect")));
    }
}

/// A worker whose stream stays open, and through which nothing comes any more once `silent` is set; `over` says that it has ended.
fn behind_a_cut(runtime: &tokio::runtime::Runtime, silent: &Arc<AtomicBool>, over: &Arc<AtomicBool>) -> MemoryLink {
    let (handle, silent, over) = (runtime.handle().clone(), Arc::clone(silent), Arc::clone(over));
    MemoryLink::to(move |stream| {
        let (near, far) = UnixStream::pair().expect("a pair");
        let again = |stream: &UnixStream| stream.try_clone().expect("a second handle");
        for (mut from, mut to) in [(again(&stream), again(&near)), (again(&near), again(&stream))] {
            let silent = Arc::clone(&silent);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut bytes) {
                    if !silent.load(Ordering::Acquire) && to.write_all(&bytes[..read]).is_err() {
                        break;
                    }
                }
            });
        }
        let (read, own) = (again(&far), again(&far));
        let _ = serve(read, far, &handle, move || drop(own.shutdown(Shutdown::Both)));
        over.store(true, Ordering::Release);
    })
}

/// The way to the coordinator is cut, and that to the cluster is not.
#[test]
fn a_worker_that_hears_nothing_of_its_run_sends_no_more() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (silent, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let ensemble = ensemble(&[behind_a_cut(&runtime, &silent, &over)]).expect("a worker");
    let bench = Bench::new();
    let mut load = bench.load(2_000_000, 1, Some(ensemble.afar()));
    let live = load.live();
    load.start(bench.clock).expect("it starts");
    while live.acked() < 100 {
        std::thread::yield_now();
    }
    let since = Instant::now();
    silent.store(true, Ordering::Release);
    let (report, _) = load.join();
    let fatal = report.fatal.expect("the load is not what was asked for");
    assert!(fatal.contains("no sign of life"), "{fatal}");
    while !over.load(Ordering::Acquire) {
        assert!(since.elapsed() < Duration::from_secs(12), "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Here it is a thread: what it had handed to its client arrives.
    std::thread::sleep(Duration::from_secs(1));
    let offsets = OffsetReader::new(&bench.connection(), false, LogSink::default()).expect("a client");
    let ends = || offsets.ends("t", &[0, 1, 2, 3], LIMIT).expect("ends");
    let before = ends();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ends(), before);
}

/// A worker that takes nothing in from when its run begins, and keeps its stream open until it is over.
fn deaf(over: &Arc<AtomicBool>) -> MemoryLink {
    let over = Arc::clone(over);
    MemoryLink::to(move |stream| {
        let again = |stream: &UnixStream| stream.try_clone().expect("a second handle");
        let (mut writer, mut reader) = (FrameWriter::new(again(&stream)), FrameReader::new(again(&stream)));
        let _ = say(&mut writer, &Up::Hello(Hello::own()));
        while let Ok(Some(frame)) = reader.read() {
            match heard::<Down>(&frame) {
                Ok(Down::Ping(ping)) => drop(say(&mut writer, &Up::Pong { ping, now_ns: 1 })),
                Ok(Down::Begin { .. }) => break,
                _ => {}
            }
        }
        while !over.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}

/// Who looks after all of them waits for none: the others would take the run for dead.
#[test]
fn a_worker_that_takes_nothing_in_takes_no_other_with_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let over = Arc::new(AtomicBool::new(false));
    let ensemble = ensemble(&[deaf(&over), MemoryLink::real(runtime.handle())]).expect("workers");
    let (afar, nobody) = (ensemble.afar(), Arc::new(Nobody));
    let hearer = RehearsedLoad::new(&RunIdentity::new(7), 1, false, nobody).producer(0);
    // More than a stream holds that nobody reads.
    let body = "x".repeat(8 << 20);
    let task = UnitTask { kind: UnitKind::Producer, step: "load".to_owned(), number: 0, body };
    let refused = std::thread::spawn(move || afar.prepare(task, hearer).err().map(|error| error.to_string()));
    let deadline = Instant::now() + LIMIT;
    while ensemble.records()[0].died.is_none() {
        assert!(Instant::now() < deadline, "nobody has looked at it");
        std::thread::sleep(Duration::from_millis(20));
    }
    over.store(true, Ordering::Release);
    assert!(refused.join().expect("a thread").is_some_and(|why| why.contains("worker 1")));
    let records = ensemble.close();
    assert!(records[0].died.as_ref().is_some_and(|died| died.why.contains("no sign of life")), "{records:?}");
    assert!(records[1].died.is_none(), "{records:?}");
}

#[test]
fn members_end_and_come_back_and_hang_in_their_workers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let links = [MemoryLink::real(runtime.handle()), MemoryLink::real(runtime.handle())];
    let ensemble = ensemble(&links).expect("workers");
    let bench = Bench::new();
    let mut group = bench.reader(Some("g"), 2, Some(ensemble.afar()));
    let live = group.live();
    let first = [0].into();
    assert!(live.halt(&first, true, Instant::now() + LIMIT) && live.halted().contains_key(&0));
    assert!(live.halt(&first, false, Instant::now() + LIMIT) && live.halted().is_empty());
    group.kill_members(&first);
    assert_eq!(live.running(), [1].into());
    assert_eq!(group.start_members(&first).expect("it starts"), 1);
    assert_eq!(live.running(), [0, 1].into());
    let (report, _) = group.join();
    let ends: Vec<_> = report.lives.iter().map(|life| (life.member, life.end.is_some(), life.halts.len())).collect();
    assert_eq!(ends, [(0, true, 1), (1, true, 0), (0, true, 0)]);
    let units: Vec<String> = ensemble.close().into_iter().flat_map(|record| record.units).collect();
    assert_eq!(units, ["g member 0", "g member 1"], "who comes back is told once");
}

/// A worker is gone in the middle: the load and the reader end, say who and what, and nothing is called lost or a phantom.
#[test]
fn a_worker_that_dies_takes_no_message_with_it_unsaid() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let links = [MemoryLink::real(runtime.handle()), MemoryLink::real(runtime.handle())];
    let ensemble = ensemble(&links).expect("workers");
    let bench = Bench::new();
    // In the first and in the second worker; the readers in the first and in the second.
    let mut load = bench.load(200_000, 2, Some(ensemble.afar()));
    let (near, far) = (bench.reader(None, 1, Some(ensemble.afar())), bench.reader(Some("g"), 1, Some(ensemble.afar())));
    let (live, onlooker) = (load.live(), near.live());
    load.start(bench.clock).expect("it starts");
    while live.acked() < 500 || onlooker.read() < 100 {
        std::thread::yield_now();
    }
    links[1].cut();
    let (report, senders) = load.join();
    let fatal = report.fatal.expect("the load is not what was asked for");
    assert!(fatal.contains("worker 2") && fatal.contains("of producer 1 nothing is known"), "{fatal}");
    assert!(senders[0].complete && !senders[1].complete && report.sent < 200_000);
    let (near_report, mut near) = near.join();
    let (far_report, far) = far.join();
    assert_eq!(near_report.fatal, None);
    let fatal = far_report.fatal.expect("the reader is not complete");
    assert!(fatal.contains("worker 2") && fatal.contains("member 0 of `g`"), "{fatal}");
    assert!(far.unaccounted && !near.unaccounted);
    near.drain_to(&near.positions());
    for readers in [vec![&near], vec![&far], vec![&near, &far]] {
        let ledger = Ledger::new(&senders, readers).settle(None);
        assert!(
            ledger.classes.keys().all(|class| matches!(class, Class::Lost | Class::Unread)),
            "{:?}",
            ledger.classes
        );
        assert_eq!(ledger.sheet.imbalance(), None);
    }
    let ledger = Ledger::new(&senders, [&near, &far]).settle(None);
    assert_eq!(ledger.count(Class::Lost), 0, "who died may have read them");
    let died = ensemble.close()[1].died.clone().expect("it died");
    assert_eq!(died.unaccounted.len(), 2, "{died:?}");
    assert!(died.at - died.known < 3.0, "{died:?}");
}

/// Says something as a worker would, and hears until the stream ends.
fn talks(what: impl Fn(&mut FrameWriter<UnixStream>) + Send + Sync + 'static) -> MemoryLink {
    MemoryLink::to(move |stream| {
        let mut writer = FrameWriter::new(stream.try_clone().expect("a second handle"));
        what(&mut writer);
        let mut reader = FrameReader::new(stream);
        while let Ok(Some(frame)) = reader.read() {
            if let Ok(Down::Ping(ping)) = heard::<Down>(&frame) {
                let _ = say(&mut writer, &Up::Pong { ping, now_ns: 1 });
            }
        }
    })
}

fn refused(link: MemoryLink) -> String {
    ensemble(&[link]).err().expect("it is refused").to_string()
}

#[test]
fn a_worker_of_another_version_is_refused() {
    let older = Hello { version: "0.0.1".to_owned(), ..Hello::own() };
    let text = refused(talks(move |writer| drop(say(writer, &Up::Hello(older.clone())))));
    assert!(text.contains("kscen 0.0.1") && text.contains("install the same version"), "{text}");
    let other = Hello { protocol: 99, ..Hello::own() };
    let text = refused(talks(move |writer| drop(say(writer, &Up::Hello(other.clone())))));
    assert!(text.contains("protocol 99"), "{text}");
}

#[test]
fn what_is_no_worker_is_refused() {
    let text = refused(MemoryLink::to(|mut stream| drop(stream.write_all(b"Last login: today\n"))));
    assert!(text.contains("did not say who it is"), "{text}");
    let text = refused(MemoryLink::to(drop));
    assert!(text.contains("did not say who it is"), "{text}");
}

#[test]
fn a_worker_that_says_nonsense_later_is_as_good_as_dead() {
    let twice = |writer: &mut FrameWriter<UnixStream>| {
        let _ = say(writer, &Up::Hello(Hello::own()));
    };
    for (what, why) in [("hello", "said twice who it is"), ("delta", "cannot be read"), ("json", "does not know")] {
        let link = MemoryLink::to(move |stream| {
            let mut writer = FrameWriter::new(stream.try_clone().expect("a second handle"));
            twice(&mut writer);
            let mut reader = FrameReader::new(stream);
            while let Ok(Some(frame)) = reader.read() {
                match heard::<Down>(&frame) {
                    Ok(Down::Ping(ping)) => drop(say(&mut writer, &Up::Pong { ping, now_ns: 1 })),
                    Ok(Down::Begin { .. }) if what == "hello" => twice(&mut writer),
                    Ok(Down::Begin { .. }) if what == "delta" => drop(writer.write(FrameKind::Delta, b"nonsense")),
                    Ok(Down::Begin { .. }) => drop(writer.write(FrameKind::Control, b"{\"sing\":1}")),
                    _ => {}
                }
            }
        });
        let ensemble = ensemble(&[link]).expect("it begins well");
        let deadline = Instant::now() + LIMIT;
        let died = loop {
            assert!(Instant::now() < deadline, "{what}: it was not noticed");
            if let Some(died) = ensemble.records()[0].died.clone() {
                break died;
            }
            std::thread::yield_now();
        };
        assert!(died.why.contains(why), "{what}: {}", died.why);
    }
}
