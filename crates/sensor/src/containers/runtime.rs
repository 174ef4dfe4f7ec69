//! Runtimes that are asked over gRPC: containerd, CRI-O, and what else offers Kubernetes' interface. Everything about one happens on one
//! thread: its events are listened to, and questions are asked beside that, some at a time.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::container::{Container, Runtime, is_id};
use super::containerd::{Containerd, DOCKER, Envelope, KUBERNETES, Told};
use super::cri::Cri;
use super::grpc::{Refusal, Wire};
use super::sockets::Socket;
use super::{Line, QUESTIONS, Questions, Shared};

/// Pauses before a runtime is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Containers that are looked for at the same time, at most.
const AT_ONCE: usize = 16;
/// A container that is not known, or not all of it, is looked for again after this: Kubernetes' interface knows a container only once it is
/// made, and a pod once it runs.
const AGAIN: Duration = Duration::from_millis(300);
/// All questions about one container take no longer.
const SEARCH: Duration = Duration::from_secs(20);
/// Lists of everything take no longer.
const LIST: Duration = Duration::from_secs(60);
/// Everything is listed once more after this: what began between a list and the events is not missed.
const LIST_AGAIN: Duration = Duration::from_secs(1);
/// Events that could not be had are asked for again after this.
const EVENTS_AGAIN: Duration = Duration::from_secs(30);

/// Starts the thread of a runtime.
pub(super) fn start(shared: &Arc<Shared>, socket: Socket) -> Line {
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let is_of_host = socket.user.is_none();
    let follower = Follower {
        shared: Arc::clone(shared),
        socket,
    };
    shared.spawn("runtime", move || follower.run(asked));
    Line {
        questions: Questions::Runtime(questions),
        hangups: Vec::new(),
        is_of_host,
        state: None,
    }
}

/// Stays with a runtime, however often it goes away.
struct Follower {
    shared: Arc<Shared>,
    socket: Socket,
}

impl Follower {
    fn run(self, questions: mpsc::Receiver<String>) {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        match executor {
            Ok(executor) => executor.block_on(self.follow(questions)),
            Err(error) => self.shared.state(&self.socket, None, Some(error.to_string())),
        }
    }

    /// Until nobody can ask any more.
    async fn follow(self, mut questions: mpsc::Receiver<String>) {
        let mut pause = PAUSE.0;
        let mut runtime = None;
        loop {
            let begun = Instant::now();
            let problem = match Session::open(&self.shared, &self.socket).await {
                Ok((session, connection)) => {
                    runtime = Some(session.runtime);
                    self.shared.state(&self.socket, runtime, None);
                    let session = Arc::new(session);
                    let problem = tokio::select! {
                        problem = session.listen(connection) => problem,
                        () = session.answer(&mut questions) => return,
                    };
                    self.shared.counts.disconnected.fetch_add(1, Ordering::Relaxed);
                    problem
                }
                Err(refusal) => refusal.to_string(),
            };
            self.shared.state(&self.socket, runtime, Some(problem));
            if begun.elapsed() > PAUSE.1 {
                pause = PAUSE.0;
            }
            // What is asked meanwhile is told by the list, once there is one again.
            let over = async { while questions.recv().await.is_some() {} };
            if timeout(pause, over).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// A container that is looked for.
struct Wanted {
    id: String,
    /// Where it is, and the image that it is made of, if an event told that.
    told: Option<(String, String)>,
}

/// A connection, and what can be asked over it.
struct Session {
    shared: Arc<Shared>,
    runtime: Runtime,
    containerd: Option<Containerd>,
    cri: Option<Cri>,
    searches: Arc<Semaphore>,
}

impl Session {
    async fn open(shared: &Arc<Shared>, socket: &Socket) -> Result<(Self, JoinHandle<()>), Refusal> {
        let (wire, connection) = Wire::open(&socket.path).await?;
        let containerd = Containerd::find(&wire).await?;
        let cri = Cri::find(&wire).await?;
        let runtime = match (&cri, &containerd) {
            (Some(cri), _) => cri.runtime,
            (None, Some(_)) => Runtime::Containerd,
            (None, None) => {
                let why =
                    "it offers neither Kubernetes' interface to runtimes (CRI, version 1) nor containerd's";
                return Err(Refusal::Failed(why.to_owned()));
            }
        };
        let session = Self {
            shared: Arc::clone(shared),
            runtime,
            containerd,
            cri,
            searches: Arc::new(Semaphore::new(AT_ONCE)),
        };
        Ok((session, connection))
    }

    /// Listens, and learns what there is already, until the connection ends. Says why it did.
    async fn listen(self: &Arc<Self>, connection: JoinHandle<()>) -> String {
        let mut tasks: JoinSet<String> = JoinSet::new();
        tasks.spawn(async {
            // How it ended makes no difference.
            let _ = connection.await;
            "the connection ended".to_owned()
        });
        match (&self.containerd, &self.cri) {
            // Of containerd's events for the kubelet each is told to only one listener, so that the kubelet would miss those that are told
            // here: <https://github.com/containerd/containerd/issues/7318>. Its own events go to everybody, and tell of all containers.
            (Some(containerd), _) => {
                tasks.spawn(Arc::clone(self).follow_containerd(containerd.clone()));
            }
            (None, Some(cri)) if cri.runtime != Runtime::Containerd => {
                tasks.spawn(Arc::clone(self).follow_cri(cri.clone()));
            }
            (None, _) => {}
        }
        tasks.spawn(Arc::clone(self).learn_all());
        match tasks.join_next().await {
            Some(Ok(problem)) => problem,
            Some(Err(error)) => error.to_string(),
            None => pending().await,
        }
    }

    async fn follow_containerd(self: Arc<Self>, containerd: Containerd) -> String {
        let mut events = match containerd.events().await {
            Ok(events) => events,
            Err(refusal) => return self.noted(refusal).to_string(),
        };
        loop {
            match events.message().await {
                Ok(Some(Some(event))) => self.happened(&containerd, event).await,
                Ok(Some(None)) => self.unreadable(),
                Ok(None) => return "it ended the stream of its events".to_owned(),
                Err(status) => return self.noted(status.into()).to_string(),
            }
        }
    }

    async fn happened(self: &Arc<Self>, containerd: &Containerd, event: Envelope) {
        match event.told() {
            Some(Told::Container { id, image }) => {
                let told = Some((event.namespace, image));
                self.search(Wanted { id, told }).await;
            }
            Some(Told::Gone(id)) => self.shared.known().end(&id),
            Some(Told::Image) => containerd.forget_images(),
            None => self.unreadable(),
        }
    }

    async fn follow_cri(self: Arc<Self>, cri: Cri) -> String {
        loop {
            match cri.events().await {
                Ok(mut events) => loop {
                    match events.message().await {
                        Ok(Some(Some(event))) if !is_id(&event.container_id) => self.unreadable(),
                        Ok(Some(Some(event))) if event.is_end() => {
                            self.shared.known().end(&event.container_id);
                        }
                        Ok(Some(Some(event))) => {
                            if !self.is_known(&event.container_id) {
                                self.shared.learn(cri.told(&event));
                            }
                            let id = event.container_id;
                            self.search(Wanted { id, told: None }).await;
                        }
                        Ok(Some(None)) => self.unreadable(),
                        Ok(None) => break,
                        Err(status) => {
                            self.noted(status.into());
                            break;
                        }
                    }
                },
                Err(Refusal::NotOffered) => return pending().await,
                Err(refusal) => {
                    self.noted(refusal);
                }
            }
            // Without events, containers are asked for when their ids come up.
            sleep(EVENTS_AGAIN).await;
        }
    }

    /// Learns what there is, soon once more, and never ends.
    async fn learn_all(self: Arc<Self>) -> String {
        for wait in [Duration::ZERO, LIST_AGAIN] {
            sleep(wait).await;
            match timeout(LIST, self.list()).await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => {
                    self.noted(refusal);
                }
                Err(_) => self.unreadable(),
            }
        }
        pending().await
    }

    async fn list(&self) -> Result<(), Refusal> {
        if let Some(containerd) = &self.containerd {
            for namespace in self.namespaces(containerd).await? {
                let unreadable = containerd.list(&namespace, |container| {
                    self.learn(self.rated(&namespace, container));
                });
                let unreadable = unreadable.await?;
                self.shared
                    .counts
                    .unreadable
                    .fetch_add(unreadable, Ordering::Relaxed);
            }
        }
        if let Some(cri) = &self.cri {
            for container in cri.list().await? {
                self.learn(container);
            }
        }
        Ok(())
    }

    /// The namespaces in which this runtime is to be asked.
    async fn namespaces(&self, containerd: &Containerd) -> Result<Vec<String>, Refusal> {
        let mut namespaces = containerd.namespaces().await?;
        namespaces.retain(|namespace| self.is_asked_for(namespace));
        Ok(namespaces)
    }

    /// Docker tells more of its containers than containerd knows of them.
    fn is_asked_for(&self, namespace: &str) -> bool {
        namespace != DOCKER || !self.shared.is_answered_by(Runtime::Docker)
    }

    /// Notes whether all is known of a container that containerd told of.
    fn rated(&self, namespace: &str, mut container: Container) -> Container {
        container.is_complete = namespace != DOCKER && (namespace != KUBERNETES || self.cri.is_none());
        container
    }

    /// Answers questions until nobody can ask any more.
    async fn answer(self: &Arc<Self>, questions: &mut mpsc::Receiver<String>) {
        while let Some(id) = questions.recv().await {
            self.search(Wanted { id, told: None }).await;
        }
    }

    /// Looks for a container, and once more a little later if not all was known; waits only where too many are looked for already.
    async fn search(self: &Arc<Self>, wanted: Wanted) {
        if !is_id(&wanted.id) {
            self.unreadable();
            return;
        }
        let Ok(turn) = Arc::clone(&self.searches).acquire_owned().await else {
            return;
        };
        let session = Arc::clone(self);
        tokio::spawn(async move {
            let is_complete = session.find(&wanted).await;
            drop(turn);
            if !is_complete {
                sleep(AGAIN).await;
                if let Ok(_turn) = session.searches.acquire().await {
                    session.find(&wanted).await;
                }
            }
        });
    }

    /// Learns what there is to learn about a container. True: that is all.
    async fn find(&self, wanted: &Wanted) -> bool {
        if self.is_known(&wanted.id) {
            return true;
        }
        let found = timeout(SEARCH, self.look(wanted)).await;
        let container = match found {
            Ok(Ok(Some(container))) => container,
            Ok(Ok(None)) | Err(_) => return false,
            Ok(Err(refusal)) => {
                self.noted(refusal);
                return false;
            }
        };
        let is_complete = container.is_complete;
        self.learn(container);
        is_complete
    }

    fn is_known(&self, id: &str) -> bool {
        self.shared.known().get(id).is_some_and(|known| known.is_complete)
    }

    async fn look(&self, wanted: &Wanted) -> Result<Option<Container>, Refusal> {
        let stored = match &self.containerd {
            Some(containerd) => self.stored(containerd, wanted).await?,
            None => None,
        };
        let Some(cri) = &self.cri else {
            return Ok(stored);
        };
        if stored.as_ref().is_some_and(|stored| stored.is_complete) {
            return Ok(stored);
        }
        match cri.container_of(&wanted.id).await {
            Ok(mut container) => {
                if let Some(stored) = &stored {
                    container.keep(stored);
                }
                Ok(Some(container))
            }
            Err(Refusal::NotFound) => Ok(stored),
            // What containerd told is worth more than nothing.
            Err(refusal) if stored.is_some() => {
                self.noted(refusal);
                Ok(stored)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The container as containerd has it.
    async fn stored(&self, containerd: &Containerd, wanted: &Wanted) -> Result<Option<Container>, Refusal> {
        let namespaces = match &wanted.told {
            Some((namespace, _)) if self.is_asked_for(namespace) => vec![namespace.clone()],
            Some(_) => return Ok(None),
            None => self.namespaces(containerd).await?,
        };
        for namespace in &namespaces {
            match containerd.container_of(namespace, &wanted.id).await {
                Ok(container) => return Ok(Some(self.rated(namespace, container))),
                Err(Refusal::NotFound) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let Some((namespace, image)) = &wanted.told else {
            return Ok(None);
        };
        // It is gone by now; what the event said stays true.
        Ok(Some(containerd.plain(namespace, &wanted.id, image).await))
    }

    fn learn(&self, container: Container) {
        if is_id(&container.id) {
            self.shared.learn(container);
        } else {
            self.unreadable();
        }
    }

    fn unreadable(&self) {
        self.shared.counts.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    fn noted(&self, refusal: Refusal) -> Refusal {
        if matches!(refusal, Refusal::Unreadable) {
            self.unreadable();
        }
        refusal
    }
}
