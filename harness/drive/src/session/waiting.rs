//! Waiting for what a server may say: the answer to a probe, replies to what asks for none, notifications and requests of its own.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::exchange::exchange_never_ended;
use super::{Answer, Arrival, ELSEWHERE, Pending, Session, Until};
use crate::transport::{Connection, Sent};

impl Session {
    /// The cheapest request that is always valid, to see whether the server is alive.
    pub async fn probe(&mut self) -> Answer {
        let (method, params) = self.protocol.probe();
        self.request(method, params, None).await
    }

    /// Waits until the server has shown that it is alive, and a moment longer, so that a reply to what was sent before would have come.
    /// Gives back the responses that answered nothing, and how the probe went.
    pub async fn settle(&mut self, sent: Option<Sent>) -> (Vec<Arrival>, Answer) {
        let exchange = sent.and_then(|sent| sent.exchange);
        // What is posted side by side may overtake; what answers it comes on the one event stream, not in the exchange.
        let over_sse = matches!(self.connection, Connection::HttpSse(_));
        if let Some(exchange) = exchange.filter(|_| over_sse) {
            self.follow_exchange(exchange, Until::End, None).await;
        }
        let probe = self.probe().await;
        let deadline = Instant::now() + self.limits.settle;
        let exchange_deadline = Instant::now() + self.limits.request;
        // Over HTTP the end of the exchange tells that no reply will come.
        while let Some(exchange) = exchange.filter(|exchange| !self.ended.contains_key(exchange)) {
            if self.closed.is_some() || !self.pump(exchange_deadline).await {
                exchange_never_ended(&self.tap, exchange);
                break;
            }
        }
        if exchange.is_none() || over_sse {
            while self.closed.is_none() && self.pump(deadline).await {}
        }
        // Answers to requests that were started before are still waited for.
        let outstanding = &self.outstanding;
        let (kept, mut strays): (Vec<Arrival>, Vec<Arrival>) =
            std::mem::take(&mut self.answers).into_iter().partition(|arrival| {
                arrival
                    .id
                    .as_ref()
                    .is_some_and(|id| outstanding.iter().any(|other| other.same_value(id)))
            });
        self.answers = kept;
        strays.retain(|arrival| !self.refuses_another(arrival, exchange));
        (strays, probe)
    }

    /// Whether a response is the body of the refusal of another HTTP request, such as the GET that would listen: it answers nothing else.
    fn refuses_another(&self, arrival: &Arrival, exchange: Option<u32>) -> bool {
        let own = self.exchange_of(arrival.event);
        let status = own.and_then(|own| self.exchange_status(own));
        own != exchange && status.is_some_and(|status| status >= 400)
    }

    /// Waits for a notification or request with this method whose params are wanted. What belongs to a request comes no more once that request is
    /// answered, or only from another stream on its way.
    pub async fn wait_for(
        &mut self,
        method: &str,
        wanted: impl Fn(&Value) -> bool,
        within: Duration,
        unless_answered: Option<&Pending>,
    ) -> Option<Arrival> {
        let mut deadline = Instant::now() + within;
        let mut unanswered = unless_answered;
        let fits = |arrival: &Arrival| {
            let params = arrival.value.get("params").unwrap_or(&Value::Null);
            arrival.method.as_deref() == Some(method) && wanted(params)
        };
        loop {
            if let Some(position) = self.inbox.iter().position(fits) {
                return Some(self.inbox.remove(position));
            }
            if unanswered.is_some_and(|pending| self.is_over(pending)) {
                unanswered = None;
                deadline = deadline.min(Instant::now() + ELSEWHERE);
            }
            if self.closed.is_some() || self.is_refused(method) || !self.pump(deadline).await {
                return None;
            }
        }
    }

    fn is_over(&self, pending: &Pending) -> bool {
        self.position_of_answer(pending).is_some() || self.exchange_over(pending).is_some()
    }

    /// Listens for a while and gives back everything that came.
    pub async fn listen(&mut self, duration: Duration) -> Vec<Arrival> {
        let deadline = Instant::now() + duration;
        while self.closed.is_none() && self.pump(deadline).await {}
        let mut arrivals = std::mem::take(&mut self.inbox);
        arrivals.append(&mut self.answers);
        arrivals
    }

    /// Forgets what has come so far, so that the next case begins with an empty inbox.
    pub fn forget(&mut self) {
        self.inbox.clear();
        self.answers.clear();
        self.outstanding.clear();
        self.asked.clear();
        self.retried.clear();
        self.replies.reset();
    }
}
