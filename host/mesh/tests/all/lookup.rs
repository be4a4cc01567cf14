//! Finding a member of whom nobody tells by himself.

use crate::harness::{pace, peer, place, until};
use mesh::fault::Weather;
use mesh::{Mesh, Settings};

#[tokio::test]
async fn members_that_have_moved_find_each_other_by_asking_around_alone() {
    let (home, one, other) = (peer().await, peer().await, peer().await);
    one.join(&home).await.unwrap();
    other.join(&home).await.unwrap();
    until("all know each other", || async { one.members().await == 2 && other.members().await == 2 }).await;
    one.mesh.stop().await;
    other.mesh.stop().await;
    // From here on nothing is heard of what members tell each other, no hello and no list: only Kademlia is left.
    home.weather.lose(1.0);
    let mut back = Vec::new();
    for peer in [&one, &other] {
        let mut settings = Settings::new(peer.path());
        settings.listen = vec![place()];
        settings.bootstrap = home.mesh.addresses().await.unwrap();
        settings.pace = pace();
        let deaf = Weather::new(7);
        deaf.lose(1.0);
        settings.weather = Some(deaf);
        back.push(Mesh::start(settings).await.unwrap());
    }
    let [(one, _), (other, _)] = &back[..] else { unreachable!() };
    until("they are linked", || async {
        let links = one.links().await.unwrap();
        links.iter().any(|link| link.peer == other.peer())
    })
    .await;
    assert!(one.present().await.unwrap().is_empty(), "it was told by a hello");
}
