//! Questions over gRPC at a socket of this machine, as runtimes of containers answer them.
//!
//! Messages are bounded, and so is the time that an answer may take. What cannot be read of a stream is skipped, and the stream goes on.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

/// A question is answered in this time, or is not.
const ANSWER: Duration = Duration::from_secs(5);
/// Bytes of a message, at most: a list of containers is the longest.
const MESSAGE: usize = 16 << 20;
/// Bytes of what stands before and behind messages, at most.
const HEADERS: u32 = 64 << 10;
/// Bytes that the other side may send before they were read.
const WINDOW: u32 = 1 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such thing.
    NotFound,
    /// Nobody answers such questions here.
    NotOffered,
    /// It is too long, or not what it should be.
    Unreadable,
    /// It says why not, or does not answer in time, or is gone.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it is not there"),
            Self::NotOffered => f.write_str("it does not answer this"),
            Self::Unreadable => f.write_str("its answer cannot be read"),
            Self::Failed(why) => f.write_str(&super::container::bounded(why)),
        }
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound,
            Code::Unimplemented => Self::NotOffered,
            Code::OutOfRange => Self::Unreadable,
            _ => Self::Failed(format!("{}: {}", status.code(), status.message())),
        }
    }
}

/// A connection to a socket.
#[derive(Clone)]
pub(super) struct Wire(Grpc<Requests>);

impl Wire {
    /// Opens the socket, and gives with it what ends once the connection does.
    pub(super) async fn open(path: &Path) -> Result<(Self, JoinHandle<()>), Refusal> {
        let failed = |error: &dyn fmt::Display| Refusal::Failed(error.to_string());
        let opened = async {
            let stream = UnixStream::connect(path).await.map_err(|error| failed(&error))?;
            let mut settings = http2::Builder::new(TokioExecutor::new());
            settings
                .max_header_list_size(HEADERS)
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(2 * WINDOW);
            let shaken = settings.handshake(TokioIo::new(stream)).await;
            shaken.map_err(|error| failed(&error))
        };
        let late = |_| Refusal::Failed("it does not answer".to_owned());
        let (requests, connection) = timeout(ANSWER, opened).await.map_err(late)??;
        let ended = tokio::spawn(async move {
            // How it ended makes no difference: it is opened again.
            let _ = connection.await;
        });
        let origin = Uri::from_static("http://localhost");
        let client = Grpc::with_origin(Requests(requests), origin).max_decoding_message_size(MESSAGE);
        Ok((Self(client), ended))
    }

    /// Asks, and waits for the answer, but not for long.
    pub(super) async fn ask<Q, A>(
        &self,
        method: &'static str,
        namespace: &str,
        question: Q,
    ) -> Result<A, Refusal>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = self.0.clone();
        let answered = async {
            let path = PathAndQuery::from_static(method);
            client
                .unary(request(namespace, question), path, Form::default())
                .await
        };
        match timeout(ANSWER, answered).await {
            Ok(answer) => answer?.into_inner().ok_or(Refusal::Unreadable),
            Err(_) => Err(Refusal::Failed("it does not answer in time".to_owned())),
        }
    }

    /// Asks for what is told in many messages. Waits for as long as nothing is told.
    pub(super) async fn listen<Q, A>(
        &self,
        method: &'static str,
        namespace: &str,
        question: Q,
    ) -> Result<Answers<A>, Refusal>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = self.0.clone();
        let path = PathAndQuery::from_static(method);
        let request = request(namespace, question);
        let answers = client.server_streaming(request, path, Form::default()).await?;
        Ok(answers.into_inner())
    }
}

/// Messages one after the other; `None` is one that cannot be read.
pub(super) type Answers<A> = Streaming<Option<A>>;

fn request<Q>(namespace: &str, question: Q) -> Request<Q> {
    let mut request = Request::new(question);
    // <https://github.com/containerd/containerd/blob/main/pkg/namespaces/grpc.go>
    if !namespace.is_empty()
        && let Ok(namespace) = MetadataValue::try_from(namespace)
    {
        request.metadata_mut().insert("containerd-namespace", namespace);
    }
    request
}

/// Where requests go.
#[derive(Clone)]
struct Requests(http2::SendRequest<Body>);

impl GrpcService<Body> for Requests {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<hyper::Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// How messages are written, and read as far as they can be.
struct Form<Q, A>(PhantomData<(Q, A)>);

impl<Q, A> Default for Form<Q, A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q, A> Codec for Form<Q, A>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    type Encode = Q;
    type Decode = Option<A>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<Q: Message, A> Encoder for Form<Q, A> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, question: Q, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        question
            .encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Q, A: Message + Default> Decoder for Form<Q, A> {
    type Item = Option<A>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Option<A>>, Status> {
        use prost::bytes::Buf as _;
        let answer = A::decode(&mut *from).ok();
        // What was not read of a message that cannot be read is no part of the next one.
        from.advance(from.remaining());
        Ok(Some(answer))
    }
}
