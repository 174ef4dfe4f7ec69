//! Bodies of requests: read piece by piece, decompressed as they come, within limits of length, time and expansion.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use super::Refusal;
use crate::counts::{Counter, Refused};
use crate::intake::Intake;
use crate::limits::{Limits, Reservation};

/// A body counts so many times against the bytes under way: its own text, and the records made of it.
const COPIES: usize = 2;

/// The greatest window of zstd that is decompressed, as a power of two: 8 MiB, which every encoder keeps to unless told
/// otherwise. <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1.2>
const ZSTD_WINDOW: u32 = 23;

/// So many bytes are believed to come where a length is stated.
const STATED: usize = 4 << 20;

/// Bytes of a refused request that are still read, so that the client comes to read the answer.
const DRAINED_BYTES: usize = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// A body as a whole, and the bytes that it has reserved.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    /// Held until the records of the body are durable.
    pub(crate) reservation: Reservation,
}

/// What has been decompressed, with its limits.
struct Limited {
    out: Vec<u8>,
    reservation: Reservation,
    /// Bytes that were read to make this.
    read: usize,
    limits: (usize, usize, usize),
    refusal: Option<Refusal>,
}

impl Limited {
    fn refuse(&mut self, refusal: Refusal) -> io::Error {
        self.refusal = Some(refusal);
        io::Error::other("refused")
    }
}

impl Write for Limited {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let (most, ratio, ratio_from) = self.limits;
        let length = self.out.len().saturating_add(piece.len());
        if length > most {
            return Err(self.refuse(Refusal::too_long(format!("the body is longer than {most} bytes"))));
        }
        if length > ratio_from && length / ratio > self.read {
            let message = format!("the body becomes more than {ratio} times as long when it is decompressed");
            return Err(self.refuse(Refusal::too_long(message)));
        }
        if !self.reservation.try_grow(length.saturating_mul(COPIES)) {
            return Err(self.refuse(Refusal::busy()));
        }
        self.out.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A decoder of zstd that knows whether a frame has come to its end, which that of the library for writers does not tell.
struct Zstd {
    decoder: Decoder<'static>,
    scratch: Vec<u8>,
    is_at_end: bool,
    out: Limited,
}

impl Zstd {
    fn new(out: Limited) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW))?;
        Ok(Self {
            decoder,
            scratch: vec![0; 64 << 10],
            is_at_end: true,
            out,
        })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(piece);
        loop {
            let mut output = OutBuffer::around(self.scratch.as_mut_slice());
            let hint = self.decoder.run(&mut input, &mut output)?;
            let made = output.pos();
            let is_full = made == self.scratch.len();
            self.out.write_all(self.scratch.get(..made).unwrap_or_default())?;
            self.is_at_end = hint == 0;
            if input.pos() >= piece.len() && !is_full {
                return Ok(());
            }
        }
    }
}

/// How a body is encoded.
enum Unpacked {
    Plain(Limited),
    Gzip(MultiGzDecoder<Limited>),
    Deflate(ZlibDecoder<Limited>),
    Zstd(Box<Zstd>),
}

impl Unpacked {
    fn new(encoding: &str, limited: Limited) -> Result<Self, Refusal> {
        Ok(match encoding {
            "" | "identity" => Self::Plain(limited),
            "gzip" | "x-gzip" => Self::Gzip(MultiGzDecoder::new(limited)),
            "deflate" => Self::Deflate(ZlibDecoder::new(limited)),
            "zstd" => Self::Zstd(Box::new(Zstd::new(limited).map_err(|_| Refusal::busy())?)),
            other => {
                let message = format!("the content encoding `{}` is not known", other.escape_debug());
                return Err(Refusal::unsupported_encoding(message));
            }
        })
    }

    fn limited(&mut self) -> &mut Limited {
        match self {
            Self::Plain(limited) => limited,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => &mut decoder.out,
        }
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.limited().read += piece.len();
        let written = match self {
            Self::Plain(limited) => limited.write_all(piece),
            Self::Gzip(decoder) => decoder.write_all(piece),
            Self::Deflate(decoder) => decoder.write_all(piece),
            Self::Zstd(decoder) => decoder.write(piece),
        };
        written.map_err(|_| self.refusal())
    }

    /// Why writing failed: a limit, or else the data.
    fn refusal(&mut self) -> Refusal {
        let refusal = self.limited().refusal.take();
        refusal.unwrap_or_else(|| Refusal::malformed("the body cannot be decompressed".to_owned()))
    }

    fn finish(mut self) -> Result<Whole, Refusal> {
        let finished = match &mut self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) if decoder.is_at_end => Ok(()),
            Self::Zstd(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        finished.map_err(|_| self.refusal())?;
        let limited = match self {
            Self::Plain(limited) => Ok(limited),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Deflate(decoder) => decoder.finish(),
            Self::Zstd(decoder) => Ok(decoder.out),
        };
        let limited =
            limited.map_err(|_| Refusal::malformed("the body cannot be decompressed".to_owned()))?;
        Ok(Whole {
            bytes: limited.out,
            reservation: limited.reservation,
        })
    }
}

/// Reads a body to its end.
pub(crate) async fn read(
    intake: &Intake,
    headers: &HeaderMap,
    mut body: Body,
    counter: &Counter,
) -> Result<Whole, Refusal> {
    let read = pieces(intake, headers, &mut body, counter).await;
    if read.is_err() {
        drain(headers, body).await;
    }
    read
}

async fn pieces(
    intake: &Intake,
    headers: &HeaderMap,
    body: &mut Body,
    counter: &Counter,
) -> Result<Whole, Refusal> {
    let limits: &Limits = intake.limits();
    let stated = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|stated| stated > limits.body_bytes) {
        return Err(Refusal::too_long(format!(
            "the body is longer than {} bytes",
            limits.body_bytes
        )));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = encodings
        .next()
        .map_or(Ok(""), |value| value.to_str())
        .unwrap_or("?");
    if encodings.next().is_some() {
        return Err(Refusal::unsupported_encoding(
            "a body may be encoded once only".to_owned(),
        ));
    }
    let limited = Limited {
        // Room is taken as bytes come; what is stated only spares copies of what came before.
        out: Vec::with_capacity(stated.unwrap_or(0).min(STATED)),
        reservation: intake.in_flight().nothing(),
        read: 0,
        limits: (limits.body_bytes, limits.ratio.max(1), limits.ratio_from_bytes),
        refusal: None,
    };
    let mut unpacked = Unpacked::new(encoding.trim().to_ascii_lowercase().as_str(), limited)?;
    let end = Instant::now() + limits.body_time;
    loop {
        let next = timeout_at(end, timeout(limits.piece_time, body.frame())).await;
        let frame = match next {
            Ok(Ok(Some(Ok(frame)))) => frame,
            Ok(Ok(None)) => break,
            Ok(Ok(Some(Err(_)))) => return Err(Refusal::malformed("the body was cut off".to_owned())),
            Ok(Err(_)) | Err(_) => return Err(Refusal::too_slow()),
        };
        if let Ok(piece) = frame.into_data() {
            counter.bytes(piece.len());
            unpacked.write(&piece)?;
        }
    }
    unpacked.finish()
}

/// Reads some of what the client is still writing: one that meets a closed connection never sees why.
pub(crate) async fn drain(headers: &HeaderMap, mut body: Body) {
    // This one waits before it writes.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, |piece| piece.len());
            if bytes > DRAINED_BYTES {
                break;
            }
        }
    };
    // Whether it came to an end is all the same.
    let _ = timeout(DRAIN_TIME, drained).await;
}

impl Refusal {
    fn unsupported_encoding(message: String) -> Self {
        Self {
            status: axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            reason: Refused::Unsupported,
            message,
        }
    }

    fn too_slow() -> Self {
        Self {
            status: axum::http::StatusCode::REQUEST_TIMEOUT,
            reason: Refused::Malformed,
            message: "the body did not come in time".to_owned(),
        }
    }
}
