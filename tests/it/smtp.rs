//! Conversations with a mail server, against one of this test that says what the test tells it to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use toolkit::mail::smtp::{Line, Request, SmtpError, Speaker, Stage, talk};
use toolkit::mail::wire::WireError;
use toolkit::mail::{MailSettings, settings};
use toolkit::tls::{TlsTrouble, Trust};

const PASSWORD: &str = "hunter2-and-more";

/// What a server does with TLS.
enum Speaks {
    Plain,
    StartTls(PathBuf, PathBuf),
    AtOnce(PathBuf, PathBuf),
}

/// What a server says, by the beginning of a command; the rest gets `250 ok`.
type Answers = &'static [(&'static str, &'static str)];

/// A key and a certificate for a name, signed by an authority of this test.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        this.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        this
    }

    fn openssl(&self, arguments: &[&str]) {
        let ran = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        assert!(ran.status.success(), "{ran:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    pub(crate) fn certificate(&self, host: &str) -> (PathBuf, PathBuf) {
        let (key, request, signed) = (
            format!("{host}.key"),
            format!("{host}.csr"),
            format!("{host}.pem"),
        );
        self.openssl(&[
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mail", "-keyout", &key, "-out",
            &request,
        ]);
        std::fs::write(self.path("names"), format!("subjectAltName=DNS:{host}\n")).unwrap();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            &signed,
        ]);
        (self.path(&key), self.path(&signed))
    }

    fn self_signed(&self) -> (PathBuf, PathBuf) {
        (self.path("ca.key"), self.path("ca.pem"))
    }
}

pub(crate) fn acceptor(key: &Path, certificate: &Path) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One conversation from the server's side. Whether the client goes away is for the test to say.
async fn serve(stream: DuplexStream, speaks: Speaks, answers: Answers) -> Vec<String> {
    let mut heard = Vec::new();
    match speaks {
        Speaks::Plain => {
            converse(stream, answers, true, &mut heard).await;
        }
        Speaks::StartTls(key, certificate) => {
            let Some(stream) = converse(stream, answers, true, &mut heard).await else {
                return heard;
            };
            if let Ok(stream) = acceptor(&key, &certificate).accept(stream).await {
                converse(stream, answers, false, &mut heard).await;
            }
        }
        Speaks::AtOnce(key, certificate) => {
            if let Ok(stream) = acceptor(&key, &certificate).accept(stream).await {
                converse(stream, answers, true, &mut heard).await;
            }
        }
    }
    heard
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    answers: Answers,
    greets: bool,
    heard: &mut Vec<String>,
) -> Option<S> {
    let answer = |command: &str| {
        let found = answers.iter().find(|(start, _)| command.starts_with(start));
        found.map_or("250 ok", |(_, answer)| answer)
    };
    let mut stream = BufReader::new(stream);
    if greets {
        let greeting = format!("{}\r\n", answer("greeting"));
        stream.write_all(greeting.as_bytes()).await.ok()?;
    }
    let mut is_message = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        heard.push(line.clone());
        if is_message && line != "." {
            continue;
        }
        let said = match is_message {
            true => answer("message"),
            false => answer(&line),
        };
        is_message = false;
        stream
            .write_all(format!("{said}\r\n").as_bytes())
            .await
            .ok()?;
        match line.as_str() {
            "DATA" => is_message = said.starts_with('3'),
            "STARTTLS" if said.starts_with('2') => return Some(stream.into_inner()),
            "QUIT" => return None,
            _ => {}
        }
    }
}

fn of(more: &[(&str, &str)]) -> MailSettings {
    let own = [
        ("FROM_ADDRESS", "Ours <tex@example.org>"),
        ("SMTP_HOST", "mail.example.org"),
        ("SMTP_USER", "tex"),
        ("SMTP_PASS", PASSWORD),
    ];
    let all = own.iter().chain(more);
    let all =
        all.map(|(name, value)| (format!("OVERLEAF_EMAIL_{name}"), Some((*value).to_owned())));
    settings(&all.collect()).unwrap()
}

/// The outcome of a conversation, what is shown of it, and what the server heard.
async fn held(
    settings: &MailSettings,
    speaks: Speaks,
    answers: Answers,
    trust: &Trust,
) -> (Result<(), SmtpError>, Vec<Line>, Vec<String>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let request = Request {
        settings,
        trust,
        to: "ada@example.org",
        message: Some("Subject: x\n\n.dot\nend\n"),
        deadline: Duration::from_secs(5),
    };
    let mut lines = Vec::new();
    let (outcome, heard) = tokio::join!(
        async {
            // The connection ends with the conversation.
            talk(near, &request, &mut lines).await
        },
        serve(far, speaks, answers)
    );
    (outcome, lines, heard)
}

fn shown(lines: &[Line]) -> String {
    let lines = lines.iter().map(|line| {
        let mark = match line.speaker {
            Speaker::Client => '>',
            Speaker::Server => '<',
            Speaker::Note => '#',
        };
        format!("{mark} {}\n", line.text)
    });
    lines.collect()
}

const PLAIN: Answers = &[
    ("greeting", "220 mail.example.org ESMTP"),
    ("EHLO", "250-mail.example.org\r\n250 AUTH LOGIN PLAIN"),
    ("DATA", "354 go on"),
    ("message", "250 queued as 1"),
    ("QUIT", "221 bye"),
];

const OFFERS_TLS: Answers = &[
    ("greeting", "220 mail.example.org ESMTP"),
    (
        "EHLO",
        "250-mail.example.org\r\n250-STARTTLS\r\n250 AUTH PLAIN",
    ),
    ("STARTTLS", "220 go on"),
    ("DATA", "354 go on"),
    ("message", "250 queued as 1"),
    ("QUIT", "221 bye"),
];

#[tokio::test]
async fn a_message_goes_over_a_plain_connection_and_secrets_are_covered() {
    let (outcome, lines, heard) = held(&of(&[]), Speaks::Plain, PLAIN, &Trust::default()).await;
    outcome.unwrap();
    assert_eq!(
        shown(&lines),
        "< 220 mail.example.org ESMTP\n\
         > EHLO [127.0.0.1]\n\
         < 250-mail.example.org\n\
         < 250 AUTH LOGIN PLAIN\n\
         # the server offers no STARTTLS: all that follows is readable\n\
         > AUTH PLAIN ********\n\
         < 250 ok\n\
         > MAIL FROM:<tex@example.org>\n\
         < 250 ok\n\
         > RCPT TO:<ada@example.org>\n\
         < 250 ok\n\
         > DATA\n\
         < 354 go on\n\
         > (the message, 4 lines)\n\
         < 250 queued as 1\n\
         > QUIT\n\
         < 221 bye\n"
    );
    assert_eq!(heard[1], "AUTH PLAIN AHRleABodW50ZXIyLWFuZC1tb3Jl");
    let end = ["Subject: x", "", "..dot", "end", ".", "QUIT"];
    assert_eq!(heard[heard.len() - end.len()..], end);
}

#[tokio::test]
async fn tls_begins_after_starttls_or_at_once() {
    let authority = Authority::new();
    let (key, certificate) = authority.certificate("mail.example.org");
    let trust = Trust {
        accepts_any: false,
        further: authority.text(),
    };
    let speaks = Speaks::StartTls(key.clone(), certificate.clone());
    let (outcome, lines, heard) = held(&of(&[]), speaks, OFFERS_TLS, &trust).await;
    outcome.unwrap();
    let text = shown(&lines);
    assert!(
        text.contains("# TLS 1.3; the certificate is good for mail.example.org\n"),
        "{text}"
    );
    assert_eq!(
        heard.iter().filter(|line| line.starts_with("EHLO")).count(),
        2
    );
    assert!(!text.contains(PASSWORD), "{text}");

    let secure = of(&[("SMTP_SECURE", "true")]);
    let (outcome, lines, _) = held(&secure, Speaks::AtOnce(key, certificate), PLAIN, &trust).await;
    outcome.unwrap();
    assert!(shown(&lines).starts_with("# TLS 1.3;"), "{}", shown(&lines));
}

#[tokio::test]
async fn certificates_that_nobody_vouches_for_are_refused_by_reason() {
    let authority = Authority::new();
    let own = authority.certificate("mail.example.org");
    let other = authority.certificate("other.example.org");
    let vouching = || Trust {
        accepts_any: false,
        further: authority.text(),
    };
    let any = Trust {
        accepts_any: true,
        further: String::new(),
    };
    for ((key, certificate), trust, expected) in [
        (own, Trust::default(), Some(TlsTrouble::UnknownIssuer)),
        (
            other.clone(),
            vouching(),
            Some(TlsTrouble::WrongName {
                wanted: "mail.example.org".to_owned(),
                presented: vec!["other.example.org".to_owned()],
            }),
        ),
        (
            authority.self_signed(),
            Trust::default(),
            Some(TlsTrouble::SelfSigned),
        ),
        (other, any, None),
    ] {
        let speaks = Speaks::StartTls(key, certificate);
        let (outcome, _, _) = held(&of(&[]), speaks, OFFERS_TLS, &trust).await;
        match expected {
            Some(trouble) => assert_eq!(outcome, Err(SmtpError::Tls(trouble))),
            None => outcome.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_server_that_begins_in_another_way_is_told_so() {
    let authority = Authority::new();
    let (key, certificate) = authority.certificate("mail.example.org");
    let secure = of(&[("SMTP_SECURE", "true")]);
    let (outcome, _, _) = held(&secure, Speaks::Plain, PLAIN, &Trust::default()).await;
    assert_eq!(outcome, Err(SmtpError::Tls(TlsTrouble::NotTls)));

    // The other way round, both wait for the other.
    let plain = of(&[("SMTP_SECURE", "false"), ("SMTP_PORT", "465")]);
    let (near, far) = tokio::io::duplex(1 << 16);
    let trust = Trust::default();
    let request = Request {
        settings: &plain,
        trust: &trust,
        to: "ada@example.org",
        message: None,
        deadline: Duration::from_millis(50),
    };
    let mut lines = Vec::new();
    let waiting =
        tokio::spawn(async move { acceptor(&key, &certificate).accept(far).await.is_ok() });
    let outcome = talk(near, &request, &mut lines).await;
    let silent = SmtpError::Wire {
        stage: Stage::Greeting,
        source: WireError::Silent(Duration::from_millis(50)),
    };
    assert_eq!(outcome, Err(silent));
    waiting.abort();

    const SHELL: Answers = &[("greeting", "SSH-2.0-OpenSSH_9.6")];
    let (outcome, _, _) = held(&of(&[]), Speaks::Plain, SHELL, &Trust::default()).await;
    let said = "SSH-2.0-OpenSSH_9.6".to_owned();
    assert_eq!(outcome, Err(SmtpError::NotSmtp { said }));
}

#[tokio::test]
async fn refusals_name_their_stage_and_hide_what_is_repeated() {
    const LOGIN: Answers = &[
        ("greeting", "220 x"),
        ("EHLO", "250-x\r\n250 AUTH=LOGIN"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("dGV4", "334 UGFzc3dvcmQ6"),
        ("aHVudGVy", "535 5.7.8 no: hunter2-and-more"),
    ];
    const SENDER: Answers = &[
        ("greeting", "220 x"),
        ("EHLO", "250 x"),
        ("MAIL", "553-5.7.1 not you\r\n553 5.7.1 at all"),
    ];
    const KINDS: Answers = &[
        ("greeting", "220 x"),
        ("EHLO", "250-x\r\n250 AUTH CRAM-MD5"),
    ];
    const DROPS: Answers = &[("greeting", "421 too many connections")];
    let refused = |stage, code, text: &str| SmtpError::Refused {
        stage,
        code,
        text: text.to_owned(),
    };
    for (answers, expected) in [
        (LOGIN, refused(Stage::Login, 535, "5.7.8 no: ********")),
        (
            SENDER,
            refused(Stage::Sender, 553, "5.7.1 not you 5.7.1 at all"),
        ),
        (
            KINDS,
            SmtpError::NoCommonLogin {
                offered: vec!["CRAM-MD5".to_owned()],
            },
        ),
        (DROPS, refused(Stage::Greeting, 421, "too many connections")),
    ] {
        let (outcome, lines, _) = held(&of(&[]), Speaks::Plain, answers, &Trust::default()).await;
        assert_eq!(outcome, Err(expected));
        assert!(!shown(&lines).contains(PASSWORD), "{}", shown(&lines));
    }
}

#[tokio::test]
async fn it_stops_before_the_message_where_that_is_asked_for() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (settings, trust) = (of(&[]), Trust::default());
    let request = Request {
        settings: &settings,
        trust: &trust,
        to: "ada@example.org",
        message: None,
        deadline: Duration::from_secs(5),
    };
    let mut lines = Vec::new();
    let (outcome, heard) = tokio::join!(
        talk(near, &request, &mut lines),
        serve(far, Speaks::Plain, PLAIN)
    );
    outcome.unwrap();
    assert!(heard.contains(&"RSET".to_owned()) && !heard.contains(&"DATA".to_owned()));
}
