use super::*;
use base::Share;
use kernels::Pool;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

fn account() -> Arc<Cpu> {
    Cpu::new(Share::CORE, Duration::from_secs(60))
}

fn compute(cores: usize) -> Arc<Compute> {
    Compute::new(NonZeroUsize::new(cores).expect("not zero"), None)
}

fn spin(span: Duration) {
    let begun = runtime::clock::thread_cpu();
    while runtime::clock::thread_cpu() - begun < span.as_nanos() as u64 {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn no_more_compute_at_once_than_there_are_cores() {
    let compute = compute(2);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut pending = Vec::new();
    for _ in 0..8 {
        let (now, most) = (now.clone(), most.clone());
        let works = Works::new(&compute, account(), account());
        let begun = works.begin(move |meter| {
            let done = meter.each(20, &|_| {
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                spin(Duration::from_millis(1));
                now.fetch_sub(1, Relaxed);
            });
            done.is_continue()
        });
        pending.push(begun.ok().expect("it begins"));
    }
    for pending in pending {
        assert!(pending.wait().await.is_ok_and(|whole| whole));
    }
    assert_eq!(most.load(Relaxed), 2);
    compute.stop();
    assert_eq!(compute.turns.lock().free, 2, "every turn was given back");
}

#[tokio::test]
async fn what_is_computed_is_charged_and_waits_for_its_account() {
    let compute = compute(2);
    let cpu = Cpu::new(Share::percent(10), Duration::from_millis(5));
    let works = Works::new(&compute, cpu.clone(), account());
    let begun = Instant::now();
    let pending = works.begin(|meter| meter.each(25, &|_| spin(Duration::from_millis(1))).is_continue());
    assert!(pending.ok().expect("it begins").wait().await.is_ok_and(|whole| whole));
    // 25 ms at a tenth, less the burst.
    assert!(begun.elapsed() >= Duration::from_millis(180), "{:?}", begun.elapsed());
    assert!((24..60).contains(&Duration::from_nanos(cpu.used()).as_millis()), "{}", cpu.used());
    assert_eq!(cpu.used(), cpu.beside());
}

#[tokio::test]
async fn a_sleeper_is_in_nobodys_way() {
    let compute = compute(1);
    let poor = Works::new(&compute, Cpu::new(Share::permille(1), Duration::from_millis(1)), account());
    let rich = Works::new(&compute, account(), account());
    let _slow = poor.begin(|meter| meter.each(1000, &|_| spin(Duration::from_millis(2)))).ok().expect("it begins");
    let begun = Instant::now();
    let quick = rich.begin(|meter| meter.each(10, &|_| spin(Duration::from_millis(1))).is_continue());
    assert!(quick.ok().expect("it begins").wait().await.is_ok_and(|whole| whole));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_budget_that_is_raised_ends_the_wait() {
    let compute = compute(1);
    let cpu = Cpu::new(Share::permille(1), Duration::from_millis(1));
    let works = Works::new(&compute, cpu.clone(), account());
    let begun = Instant::now();
    let pending = works.begin(|meter| meter.each(4, &|_| spin(Duration::from_millis(5))).is_continue());
    tokio::time::sleep(Duration::from_millis(20)).await;
    cpu.set(Share::CORE, Duration::from_millis(1));
    works.reconsider();
    assert!(pending.ok().expect("it begins").wait().await.is_ok_and(|whole| whole));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_dropped_ends_and_what_breaks_is_told() {
    let compute = compute(1);
    let works = Works::new(&compute, account(), account());
    let (told, ended) = std::sync::mpsc::channel();
    let (here, begun) = std::sync::mpsc::channel();
    let dropped = works.begin(move |meter| {
        let _ = here.send(());
        let done = meter.each(usize::MAX, &|_| spin(Duration::from_millis(1)));
        let _ = told.send(done.is_break());
    });
    let broken = works.begin(|_| panic!("on purpose")).ok().expect("it begins");
    let after = works.begin(|_| 7).ok().expect("it begins");
    let never = works.begin(|_| ());
    assert_eq!(begun.recv_timeout(Duration::from_secs(5)), Ok(()));
    drop(never);
    assert_eq!(works.queue.lock().waiting.len(), 2, "what has not begun is gone at once");
    drop(dropped);
    assert_eq!(ended.recv_timeout(Duration::from_secs(5)), Ok(true));
    assert!(broken.wait().await.is_err());
    assert!(after.wait().await.is_ok_and(|seven| seven == 7), "the thread goes on");
}

#[tokio::test]
async fn a_host_that_goes_takes_its_threads_along() {
    let compute = compute(1);
    let mut pending = Vec::new();
    for _ in 0..3 {
        let works = Works::new(&compute, account(), account());
        pending.push(works.begin(|meter| meter.each(usize::MAX, &|_| spin(Duration::from_millis(1)))).ok());
    }
    compute.stop();
    assert_eq!(compute.turns.lock().threads, 0);
    let late = Works::new(&compute, account(), account()).begin(|_| ());
    assert!(late.is_err(), "nothing begins afterwards");
}
