//! Blobs: whole, verified, from several at once, and no faster than they may be.

use crate::harness::{Peer, until, village, village_with};
use mesh::{BlobHash, CHUNK, Error, Why};
use std::time::{Duration, Instant};

fn bytes(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 + n / 251 + seed) as u8).collect()
}

fn put(peer: &Peer, bytes: &[u8]) -> BlobHash {
    let folder = peer.path().join("blobs");
    std::fs::create_dir_all(&folder).unwrap();
    let hash = BlobHash::of(bytes);
    std::fs::write(folder.join(hash.to_string()), bytes).unwrap();
    hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_comes_whole_from_all_who_have_it() {
    let all = village(4).await;
    for size in [0, 1, CHUNK, CHUNK + 1, 20 * CHUNK + 12345] {
        let blob = bytes(size, size);
        let hash = put(&all[0], &blob);
        put(&all[1], &blob);
        let fetched = all[2].mesh.fetch(hash, &[]).await.unwrap();
        assert_eq!((fetched.bytes, fetched.kept), (size as u64, 0));
        assert!(std::fs::read(&fetched.file).unwrap() == blob, "{size}");
        assert_eq!(fetched.from.values().sum::<u64>(), size as u64);
        if size > 20 * CHUNK {
            assert_eq!(fetched.from.len(), 2, "both have given: {:?}", fetched.from);
        }
        assert_eq!(all[2].mesh.fetch(hash, &[]).await.unwrap().kept, size as u64);
        // Who has fetched it gives it in turn.
        let again = all[3].mesh.fetch(hash, &[all[2].id()]).await.unwrap();
        assert_eq!(again.bytes, size as u64);
    }
    let nobody = all[0].mesh.fetch(BlobHash::of(b"nowhere"), &[]).await;
    assert!(matches!(nobody, Err(Error::NobodyGives { .. })), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_bad_chunks_is_found_out_and_the_others_give_them() {
    let all = village(3).await;
    let blob = bytes(12 * CHUNK, 1);
    let hash = put(&all[0], &blob);
    put(&all[1], &blob);
    // Its outline was good; then each of its chunks is changed.
    let warm = all[2].mesh.fetch(hash, &[all[1].id()]).await.unwrap();
    std::fs::remove_file(warm.file).unwrap();
    put_changed(&all[1], &hash, &blob);
    let fetched = all[2].mesh.fetch(hash, &[all[0].id(), all[1].id()]).await.unwrap();
    assert!(std::fs::read(&fetched.file).unwrap() == blob);
    assert!(!fetched.from.contains_key(&all[1].id()), "{:?}", fetched.from);
    assert!(all[2].turned_away(Why::Forged) > 0);
    std::fs::remove_file(fetched.file).unwrap();
    let alone = all[2].mesh.fetch(hash, &[all[1].id()]).await;
    assert!(matches!(alone, Err(Error::NobodyGives { .. })), "{alone:?}");
}

fn put_changed(peer: &Peer, hash: &BlobHash, blob: &[u8]) {
    let mut changed = blob.to_vec();
    changed.iter_mut().step_by(CHUNK).for_each(|byte| *byte ^= 1);
    std::fs::write(peer.path().join("blobs").join(hash.to_string()), changed).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broken_off_goes_on_and_no_faster_than_it_may() {
    let all = village_with(2, |settings| settings.blob_rate = 4 << 20).await;
    let blob = bytes(6 << 20, 2);
    let hash = put(&all[0], &blob);
    let mesh = all[1].mesh.clone();
    let fetching = tokio::spawn(async move { mesh.fetch(hash, &[]).await });
    let part = all[1].path().join("parts").join(hash.to_string());
    until("some of it is there", || async { std::fs::metadata(&part).is_ok_and(|part| part.len() > 2 * CHUNK as u64) })
        .await;
    fetching.abort();
    assert!(fetching.await.unwrap_err().is_cancelled());
    let started = Instant::now();
    let mut fetched = all[1].mesh.fetch(hash, &[]).await.unwrap();
    assert!(fetched.kept > 0 && fetched.kept < fetched.bytes, "{fetched:?}");
    assert!(std::fs::read(&fetched.file).unwrap() == blob);
    let left = (fetched.bytes - fetched.kept) as f64 / f64::from(4 << 20);
    assert!(started.elapsed() > Duration::from_secs_f64(left * 0.5), "too fast: {:?} for {left} s", started.elapsed());

    // A part that was damaged meanwhile is fetched again where it is bad.
    std::fs::rename(&fetched.file, &part).unwrap();
    let mut damaged = blob.clone();
    damaged[3 * CHUNK + 5] ^= 1;
    std::fs::write(&part, damaged).unwrap();
    fetched = all[1].mesh.fetch(hash, &[]).await.unwrap();
    assert_eq!(fetched.from.values().sum::<u64>(), CHUNK as u64);
    assert!(std::fs::read(&fetched.file).unwrap() == blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_outlives_one_who_leaves() {
    let mut all = village_with(3, |settings| settings.blob_rate = 4 << 20).await;
    let blob = bytes(6 << 20, 3);
    let hash = put(&all[0], &blob);
    put(&all[1], &blob);
    let leaving = all.remove(0);
    let mesh = all[1].mesh.clone();
    let sources = [leaving.id(), all[0].id()];
    let fetching = tokio::spawn(async move { mesh.fetch(hash, &sources).await });
    until("it has begun", || async { all[1].path().join("parts").join(hash.to_string()).exists() }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    leaving.mesh.stop().await;
    let fetched = fetching.await.unwrap().unwrap();
    assert!(std::fs::read(fetched.file).unwrap() == blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_wanted_is_not_fetched() {
    let all = village(2).await;
    for (size, most) in [(100, 99), (3 * CHUNK, 2 * CHUNK)] {
        let hash = put(&all[0], &bytes(size, 7));
        let refused = all[1].mesh.fetch_within(hash, &[], most as u64).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        assert!(!all[1].path().join("parts").join(hash.to_string()).exists(), "nothing of it was written");
        assert_eq!(all[1].mesh.fetch_within(hash, &[], size as u64).await.unwrap().bytes, size as u64);
    }
}
