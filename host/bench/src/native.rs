//! Actors without a sandbox: the same messages through the same channels, handled by a Rust function.

use guest::{Message, Payload};
use tokio::sync::{mpsc, oneshot};

pub(crate) struct Actor(mpsc::Sender<(Message, oneshot::Sender<Payload>)>);

impl Actor {
    pub(crate) fn start() -> Actor {
        let (sender, mut mailbox) = mpsc::channel::<(Message, oneshot::Sender<Payload>)>(256);
        tokio::spawn(async move {
            let mut handled = 0u64;
            while let Some((message, reply)) = mailbox.recv().await {
                handled += 1;
                let body = handled.to_string().into_bytes();
                let _ = reply.send(Payload { content_type: message.payload.content_type, body });
            }
        });
        Actor(sender)
    }

    pub(crate) async fn ask(&self, message: Message) -> Option<Payload> {
        let (reply, answer) = oneshot::channel();
        self.0.send((message, reply)).await.ok()?;
        answer.await.ok()
    }
}
