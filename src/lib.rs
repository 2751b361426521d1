//! `toolkit` brings up and looks after a self-hosted Overleaf.
//!
//! This page is the codemap, in the order in which data flows. Each module says what it is for and
//! what it must not know; `tests/it/layers.rs` holds the table of who may use whom.
//!
//! # The way of the data
//!
//! 1. [`settings`] reads `config/overleaf.rc`, `config/variables.env` and `config/version` into
//!    [`settings::Settings`]; every value knows its file and line. [`interpolation`] is the grammar
//!    of `$NAME`; [`seed`] writes the files of a new instance; [`lint`] finds what is wrong in them.
//! 2. [`release`] knows what each Overleaf release needs, from `lib/releases.toml`.
//! 3. [`compose`] is the Compose Specification: definitions in, canonical form and hashes out.
//! 4. [`deployment`] makes the desired state out of 1 to 3 and the templates.
//! 5. [`engine`] is the container engine in our verbs, [`host`] the door to this machine, [`probe`]
//!    asks a running service whether it is ready; [`observe`] takes a snapshot, whose types are in
//!    [`observed`].
//! 6. [`plan`] compares desired and observed: pure, deterministic, each step with its cause.
//! 7. [`check`] finds what stands in the way before anything changes; `doctor` shows it.
//! 8. [`apply`] carries a plan out and reports [`event`]s; [`diagnosis`] knows what failures mean.
//!    [`journal`] keeps what a run intends and has done, for the case that it is killed; [`applied`]
//!    what was last carried out completely, to which [`rollback`] goes back; [`history`] all of it;
//!    [`drift`] finds what is not so any more.
//! 9. [`script`] runs programs in containers, those of the application as its releases want them.
//!    With them and with [`stores`], the way to the application's mongo and redis, work [`people`]
//!    (accounts), [`site`] (closed or open) and [`flush`] (edits that mongo does not have yet);
//!    [`mail`] talks to the mail server that the application is to use.
//!
//! [`report`] is the whole of an instance at one moment, which `status` and `metrics` show. [`ui`]
//! draws events and values; [`cli`] wires all of this to the command line.
//!
//! [`logs`] orders and chooses what services write about their work; [`gather`] finds and reads it.
//! [`bundled`] makes images out of the running program, whose [`servers`] then run in containers.
//! [`images`] knows which images an instance needs and which can go, [`texlive`] the one with more
//! TeX Live packages, [`compiles`] what sandboxed compiles use and leave behind.
//! [`image`], [`labels`], [`likeness`] of names, [`secret`] and [`tls`], the trust in other servers, are
//! leaves.
//!
//! # Invariants
//!
//! - Every change goes observe → plan → apply; `--dry-run` stops before apply.
//! - The operator's files are never rewritten without being told, and never executed: only
//!   `config flatten` runs overleaf.rc, once, and says so before.
//! - Only [`ui`] prints, only [`cli`] reads the environment, only [`host`] touches the machine.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | Settings | complete typed configuration after layering |
//! | Setting, Variable | a key of overleaf.rc, a key of variables.env |
//! | Release | one Overleaf version with what it needs |
//! | Edition | Community Edition, Server Pro, or CEP (the community's extended edition) |
//! | Image reference | registry/name:tag or @digest; not the same thing as the Release |
//! | Project | a Compose project: services, networks, volumes |
//! | Deployment | desired state |
//! | Observed | snapshot of what exists |
//! | Plan, Step, Cause | ordered changes; one change; why it is needed |
//! | Check, Finding | what is looked at before a change, and by `doctor`; what it found to be wrong |
//! | Engine | the container engine in our verbs |
//! | Host | files, processes, sockets of one machine |
//! | Event | a fact reported while working |
//! | Instance | one installation: a root folder with config and data |

pub mod applied;
pub mod apply;
pub mod bundled;
pub mod check;
pub mod cli;
pub mod compiles;
pub mod compose;
pub mod deployment;
pub mod diagnosis;
pub mod drift;
pub mod engine;
pub mod event;
pub mod flush;
pub mod gather;
pub mod history;
pub mod host;
pub mod image;
pub mod images;
pub mod interpolation;
pub mod journal;
pub mod labels;
pub mod likeness;
pub mod lint;
pub mod logs;
pub mod mail;
pub mod observe;
pub mod observed;
pub mod people;
pub mod percent;
pub mod plan;
pub mod probe;
pub mod release;
pub mod report;
pub mod rollback;
pub mod script;
pub mod secret;
pub mod seed;
pub mod servers;
pub mod settings;
pub mod site;
pub mod stores;
pub mod texlive;
pub mod tls;
pub mod ui;
