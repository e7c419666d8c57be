//! Listens for HTTP, and bounds what any connection may take: how many there are, how long they may be silent, how much they send
//! before anything is read, and how long they may leave an answer unread.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_http::add_extension::AddExtension;

use super::{
    caller::Peer,
    loopback, openapi, origin,
    patient::Patient,
    router,
    server::{Announce, Server},
    tls,
};
use crate::house::{
    House,
    server_settings::{Listen, ServerSettings},
    settings::Settings,
};

/// How many connections there are at once; others wait to be accepted.
const MOST_CONNECTIONS: usize = 1_024;
/// How long all headers of a call may take to come, and a connection to be idle.
const HEADERS_WITHIN: Duration = Duration::from_secs(15);
/// How much of a call is held before its headers are complete, in bytes.
const MOST_HEADER_BYTES: usize = 64 * 1024;
/// How many headers a call has.
const MOST_HEADERS: usize = 64;
/// How long TLS may take to begin.
const TLS_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may lie unread.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// How long calls may take to end when the server does.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How long nobody is accepted after that failed: no file was free.
const PAUSE: Duration = Duration::from_millis(100);

/// The router, with the address at the other end of a connection.
type Answering = AddExtension<axum::Router, Peer>;

/// A listener that is bound, and answers nobody yet.
pub struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
    settings: ServerSettings,
    is_for_its_user: bool,
}

impl Listening {
    /// Binds where the settings say; nothing where they say `none`. A system that has no loopback address of this server's own has
    /// the one that all share.
    ///
    /// # Errors
    /// When the address cannot be listened at, or the certificate cannot be used.
    pub async fn at(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let data = &settings.data;
        let settings = &settings.server;
        let (address, instead) = match settings.listen {
            Listen::Nowhere => return Ok(None),
            Listen::At(address) => (address, None),
            Listen::Loopback => (loopback::of(data), Some(loopback::SHARED)),
        };
        let bound = match (TcpListener::bind(address).await, instead) {
            (Err(_), Some(instead)) => TcpListener::bind(instead).await,
            (bound, _) => bound,
        };
        let listener = bound.with_context(|| {
            format!("cannot listen at {address}; let `listen` in `[server]` name another address, or port 0 for any")
        })?;
        let tls = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
            _ => None,
        };
        Ok(Some(Self {
            address: listener.local_addr()?,
            listener,
            tls,
            settings: settings.clone(),
            is_for_its_user: false,
        }))
    }

    /// Binds at an address of this machine alone, whatever the settings say, for the user whose process this is and nobody else.
    ///
    /// # Errors
    /// When there is no such address.
    pub async fn for_its_user(settings: &Settings) -> anyhow::Result<Self> {
        let listener = match TcpListener::bind(loopback::of(&settings.data)).await {
            Err(_) => TcpListener::bind(loopback::SHARED).await,
            bound => bound,
        };
        let listener = listener.context("cannot listen at an address of this machine")?;
        let (address, settings) = (listener.local_addr()?, ServerSettings::default());
        Ok(Self { listener, tls: None, address, settings, is_for_its_user: true })
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        self.settings.url.clone().unwrap_or_else(|| self.own_url(&self.address.ip().to_string()))
    }

    /// The address that is listened at.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn own_url(&self, host: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    /// The server that answers here. A link to sign in with is announced only where no other machine can ask.
    #[must_use]
    pub fn server(&self, house: Arc<House>, announce: Option<Announce>, stop: CancellationToken) -> Arc<Server> {
        let is_local = self.address.ip().is_loopback();
        let (url, own) = (self.url(), self.own_url(&self.address.ip().to_string()));
        let local = self.own_url("localhost");
        let urls: [&str; 3] = [&own, &url, if is_local { &local } else { &own }];
        let hosts = origin::hosts(&urls);
        let description = openapi::description().to_string();
        // Where issuers say who somebody is, the terminal does not.
        let is_alone = self.is_for_its_user || house.settings.is_for_one();
        let announce = announce.filter(|_| is_local && is_alone);
        let mut server = Server::new(house, (url, hosts), announce, description, stop);
        server.is_for_its_user = self.is_for_its_user;
        server.announce_link();
        Arc::new(server)
    }

    /// Whether what somebody sends is read: without TLS, other machines could read it too, unless a proxy speaks TLS for us.
    fn is_heard(&self, peer: IpAddr) -> bool {
        self.tls.is_some() || self.address.ip().is_loopback() || self.settings.proxies.has(peer)
    }

    /// Answers until the server is told to stop: then nobody new is accepted, streams end, and calls that go on may end.
    pub async fn answer(self, server: Arc<Server>) {
        let (router, stop) = (router::router(&server), server.stop.clone());
        let (places, graceful) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), GracefulShutdown::new());
        while let Some(place) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
            let (stream, peer) = match stop.run_until_cancelled(self.listener.accept()).await {
                None => break,
                Some(Ok((stream, peer))) => (stream, peer.ip()),
                Some(Err(error)) => {
                    tracing::warn!(%error, "nobody can connect");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            if !self.is_heard(peer) {
                tracing::warn!(%peer, "whoever is no proxy of `proxies` is not heard without TLS");
                continue;
            }
            let router = AddExtension::new(router.clone(), Peer(peer));
            let (tls, watcher) = (self.tls.clone(), graceful.watcher());
            tokio::spawn(async move {
                let _place = place;
                if let Err(error) = connected(stream, tls, router, watcher).await {
                    tracing::debug!(error = format!("{error:#}"), "a connection ended");
                }
            });
        }
        drop(self.listener);
        if timeout(ENDS_WITHIN, graceful.shutdown()).await.is_err() {
            tracing::info!("calls that went on for too long were cut off");
        }
    }
}

async fn connected(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Answering,
    watcher: Watcher,
) -> anyhow::Result<()> {
    // Events are small, and wait for nothing.
    stream.set_nodelay(true)?;
    match tls {
        None => serve(stream, router, watcher).await,
        Some(tls) => serve(timeout(TLS_WITHIN, tls.accept(stream)).await??, router, watcher).await,
    }
}

async fn serve<S>(stream: S, router: Answering, watcher: Watcher) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(Patient::new(stream, READ_WITHIN));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS);
    let connection = http.serve_connection(stream, TowerToHyperService::new(router));
    Ok(watcher.watch(connection).await?)
}
