//! Actors without a sandbox: the same messages through the same channels, handled by a Rust function.

use tokio::sync::{mpsc, oneshot};

pub(crate) struct Actor(mpsc::Sender<(Vec<u8>, oneshot::Sender<Vec<u8>>)>);

impl Actor {
    pub(crate) fn start() -> Actor {
        let (sender, mut mailbox) = mpsc::channel::<(Vec<u8>, oneshot::Sender<Vec<u8>>)>(256);
        tokio::spawn(async move {
            let mut handled = 0u64;
            while let Some((body, reply)) = mailbox.recv().await {
                handled += 1;
                let mut answer = body.clone();
                answer.extend_from_slice(&handled.to_le_bytes());
                let _ = reply.send(answer);
            }
        });
        Actor(sender)
    }

    pub(crate) async fn ask(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        self.0.send((body.into(), reply)).await.ok()?;
        answer.await.ok()
    }
}
