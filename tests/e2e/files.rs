//! Granted folders: what they open, and that nothing else is reached through them.

use guest::Agent;
use std::fs;
use std::path::{Path, PathBuf};
use tests::{Village, ask, host};

/// A folder on the host: `secret` beside two granted folders, `ro/kept` in the one and `rw/own` in the other.
struct Place {
    root: tempfile::TempDir,
    agent: Agent,
}

const SECRET: &str = "the host's own";
const KEPT: &str = "may be read";

impl Place {
    async fn new(host: &Village) -> Place {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["ro", "rw", "outside"] {
            fs::create_dir(root.path().join(folder)).expect("made");
        }
        fs::write(root.path().join("secret"), SECRET).expect("written");
        fs::write(root.path().join("outside/secret"), SECRET).expect("written");
        fs::write(root.path().join("ro/kept"), KEPT).expect("written");
        fs::write(root.path().join("rw/own"), "may be changed").expect("written");
        let grant = |folder: &str| format!("files={}:/{folder}:{folder}", root.path().join(folder).display());
        let agent = host.agent("files", "storage=3MiB,memory=9MiB", &[&grant("ro"), &grant("rw")]).await;
        Place { root, agent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn ask(&self, skill: &str, payload: &str) -> String {
        ask(&self.agent, skill, payload).await.unwrap_or_else(|no| panic!("{skill} {payload}: {no}"))
    }

    /// Everything that the agent may not change, as it was made.
    fn untouched(&self) {
        for name in ["secret", "outside/secret"] {
            assert_eq!(fs::read_to_string(self.path(name)).expect("it is there"), SECRET, "{name}");
        }
        assert_eq!(fs::read_to_string(self.path("ro/kept")).expect("it is there"), KEPT);
        let names = |folder: &str| -> Vec<_> {
            let entries = fs::read_dir(self.path(folder)).expect("a folder");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("it can be listed").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["outside", "ro", "rw", "secret"]);
        assert_eq!(names("outside"), ["secret"]);
        assert_eq!(names("ro"), ["kept"]);
    }
}

fn refused(reply: &str) -> bool {
    reply.contains("error: ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_folder_opens_with_its_rights() {
    let host = host();
    let place = Place::new(&host).await;
    assert_eq!(place.ask("preopens", "").await, "/ro\n/rw\n");
    assert_eq!(place.ask("read", "/ro/kept").await, KEPT);
    assert_eq!(place.ask("list", "/ro").await, "kept");
    assert_eq!(place.ask("write", "/rw/own anew").await, "written");
    assert_eq!(place.ask("append", "/rw/own  and more").await, "13");
    assert_eq!(fs::read_to_string(place.path("rw/own")).expect("it is there"), "anew and more");
    assert_eq!(place.ask("mkdir", "/rw/sub").await, "made");
    assert_eq!(place.ask("rename", "/rw/own /rw/sub/own").await, "renamed");
    assert_eq!(place.ask("symlink", "own /rw/sub/link").await, "linked");
    assert_eq!(place.ask("read", "/rw/sub/link").await, "anew and more");
    place.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_there_are_no_files_at_all() {
    let host = host();
    let agent = host.agent("files", "storage=1MiB", &[]).await;
    assert_eq!(ask(&agent, "preopens", "").await.as_deref(), Ok(""));
    for path in ["/", ".", "/etc/passwd", "../../../etc/passwd", "Cargo.toml"] {
        for skill in ["read", "list", "stat", "write", "mkdir"] {
            let reply = ask(&agent, skill, path).await.expect("it copes");
            assert!(refused(&reply), "{skill} {path}: {reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_a_granted_folder() {
    let host = host();
    host.beside(async {
        let place = Place::new(&host).await;
        let absolute = place.path("secret").display().to_string();
        for path in [
            "/rw/../secret",
            "/ro/../secret",
            "/rw/sub/../../secret",
            "/secret",
            &absolute,
            "../secret",
            "/rw//..//secret",
        ] {
            for (skill, more) in [
                ("read", ""),
                ("write", " mine"),
                ("append", " mine"),
                ("truncate", ""),
                ("stat", ""),
                ("unlink", ""),
                ("rename", " /rw/stolen"),
                ("link", " /rw/stolen"),
                ("fill", " 10"),
            ] {
                let reply = place.ask(skill, &format!("{path}{more}")).await;
                assert!(refused(&reply), "{skill} {path}{more}: {reply}");
            }
            assert!(refused(&place.ask("rename", &format!("/rw/own {path}")).await));
            assert!(refused(&place.ask("link", &format!("/rw/own {path}")).await));
        }
        for path in ["/rw/..", "/rw/../outside", "/ro/../outside"] {
            for skill in ["list", "rmdir"] {
                assert!(refused(&place.ask(skill, path).await), "{skill} {path}");
            }
            assert!(refused(&place.ask("mkdir", &format!("{path}/new")).await));
        }
        place.untouched();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_point_out_are_not_followed() {
    let host = host();
    host.beside(async {
        let place = Place::new(&host).await;
        let root = place.root.path().display().to_string();
        // The guest's own, and ones that somebody else put there.
        place.ask("symlink", "../secret /rw/up").await;
        assert!(refused(&place.ask("symlink", &format!("{root}/secret /rw/absolute")).await));
        place.ask("symlink", "../ro/kept /rw/across").await;
        place.ask("symlink", ".. /rw/folder").await;
        #[cfg(unix)]
        let absolute = format!("{root}/secret");
        #[cfg(unix)]
        for (target, name) in [
            ("../secret", "planted"),
            (absolute.as_str(), "absolute"),
            ("..", "planted-folder"),
            ("../outside", "planted-outside"),
        ] {
            std::os::unix::fs::symlink(target, place.path("rw").join(name)).expect("linked");
        }
        for path in [
            "/rw/up",
            "/rw/absolute",
            "/rw/across",
            "/rw/planted",
            "/rw/folder/secret",
            "/rw/planted-folder/secret",
            "/rw/planted-outside/secret",
        ] {
            for (skill, more) in
                [("read", ""), ("write", " mine"), ("append", " mine"), ("truncate", ""), ("fill", " 10")]
            {
                let reply = place.ask(skill, &format!("{path}{more}")).await;
                assert!(refused(&reply), "{skill} {path}: {reply}");
            }
        }
        for path in ["/rw/folder", "/rw/planted-folder", "/rw/planted-outside"] {
            assert!(refused(&place.ask("list", path).await), "{path}");
            assert!(refused(&place.ask("mkdir", &format!("{path}/new")).await), "{path}");
            assert!(refused(&place.ask("unlink", &format!("{path}/secret")).await), "{path}");
            assert!(refused(&place.ask("rename", &format!("/rw/own {path}/new")).await), "{path}");
        }
        place.untouched();
    })
    .await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_swapped_while_it_is_opened_leads_nowhere_else() {
    let host = host();
    let place = Place::new(&host).await;
    let (folder, link) = (place.path("rw/turn"), place.path("rw/turn-link"));
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("secret"), "its own").expect("written");
    std::os::unix::fs::symlink("../outside", &link).expect("linked");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut seen = [0, 0];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::sync::atomic::Ordering::Relaxed;
            // A folder and a link that leads out change places under one name, in one step.
            while !stop.load(Relaxed) {
                rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    &folder,
                    rustix::fs::CWD,
                    &link,
                    rustix::fs::RenameFlags::EXCHANGE,
                )
                .expect("exchanged");
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for round in 0..400 {
                    let reply = place.ask("read", "/rw/turn/secret").await;
                    assert_ne!(reply, SECRET, "round {round}");
                    seen[usize::from(refused(&reply))] += 1;
                    place.ask("write", "/rw/turn/secret its own").await;
                }
            });
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(seen[0] > 0 && seen[1] > 0, "both were met: {seen:?}");
    place.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_to_read_is_not_written_in_any_way() {
    let host = host();
    host.beside(async {
        let place = Place::new(&host).await;
        for (skill, payload) in [
            ("write", "/ro/kept mine"),
            ("append", "/ro/kept mine"),
            ("truncate", "/ro/kept"),
            ("write", "/ro/new mine"),
            ("fill", "/ro/kept 100"),
            ("sparse", "/ro/kept 100"),
            ("fill-many", "/ro 1"),
            ("mkdir", "/ro/new"),
            ("unlink", "/ro/kept"),
            ("symlink", "kept /ro/new"),
            ("link", "/ro/kept /ro/new"),
            ("rename", "/ro/kept /ro/new"),
            // Across folders with other rights, both ways.
            ("link", "/ro/kept /rw/new"),
            ("rename", "/ro/kept /rw/new"),
            ("link", "/rw/own /ro/new"),
            ("rename", "/rw/own /ro/new"),
            ("rename", "/rw/own /ro/kept"),
            ("tamper", "/ro/kept"),
        ] {
            let reply = place.ask(skill, payload).await;
            assert!(refused(&reply), "{skill} {payload}: {reply}");
        }
        fs::create_dir(place.path("ro/empty")).expect("made");
        assert!(refused(&place.ask("rmdir", "/ro/empty").await));
        fs::remove_dir(place.path("ro/empty")).expect("it is still there");
        place.untouched();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_and_listings_without_end_are_refused() {
    let host = host();
    host.beside(async {
        let place = Place::new(&host).await;
        let open = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let before = open();
        // 9 MiB make 144 handles; the next one ends the turn or is refused, and all are shut with the instance.
        let outcome = ask(&place.agent, "open-many", "/ro/kept").await;
        match &outcome {
            Ok(reply) => assert!(
                refused(reply) && reply.split(' ').next().is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n < 150))
            ),
            Err(no) => assert_eq!(no.kind, "memory", "{no}"),
        }
        assert!(open() < before + 200, "{} descriptors are open, {before} were", open());
        // A listing is a copy of all names, which the host holds: it counts.
        for n in 0..3000 {
            fs::write(place.path("rw").join(format!("{n:0200}")), "").expect("written");
        }
        let reply = place.ask("list-many", "/rw").await;
        let count: u64 = reply.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(refused(&reply) && (3..15).contains(&count), "of some 800 KB each, in 9 MiB: {reply}");
        assert_eq!(place.ask("list", "/rw").await.lines().count(), 3001);
        place.untouched();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_is_an_error_to_the_guest() {
    let host = host();
    let root = tempfile::tempdir().expect("a folder");
    let folder: &Path = &root.path().join("data");
    fs::create_dir(folder).expect("made");
    let agent = host.agent("files", "storage=1MiB", &[&format!("files={}:/data:rw", folder.display())]).await;
    fs::remove_dir(folder).expect("removed");
    let reply = ask(&agent, "write", "/data/x y").await.expect("it copes");
    assert!(refused(&reply), "{reply}");
    assert!(!folder.exists());
}
