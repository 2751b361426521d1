//! `toolkit init` by flags, as scripts use it.

use super::sandbox::Sandbox;

#[test]
fn all_that_is_asked_for_can_be_a_flag() {
    let sandbox = Sandbox::new();
    sandbox.write("tls/site.pem", "");
    sandbox.write("disk/here", "");
    let disk = sandbox.root().join("disk");
    let ran = sandbox
        .run(&[
            "init",
            "--edition",
            "pro",
            "--url",
            "https://tex.example.org/",
            "--listen",
            // All addresses would count those on which other tests listen.
            "127.9.8.6:8443",
            "--tls",
            "nginx",
            "--tls-certificate",
            "tls/site.pem",
            "--tls-private-key",
            "tls/site.key",
            "--data-path",
            disk.to_str().unwrap(),
        ])
        .succeeded();
    insta::assert_snapshot!(ran.stderr, @r"
    warning: the private key `tls/site.key` does not exist yet: put it there, as PEM, before `toolkit up`
    wrote config/nginx/nginx.conf
    wrote config/version
    wrote config/variables.env
    wrote config/overleaf.rc
    next: look at config/overleaf.rc and config/variables.env, then run `toolkit up`
    ");
    let rc = sandbox.read("config/overleaf.rc");
    for line in [
        "EDITION=pro",
        "OVERLEAF_LISTEN_IP=127.0.0.1",
        "OVERLEAF_PORT=8080",
        "NGINX_ENABLED=true",
        "NGINX_TLS_LISTEN_IP=127.9.8.6",
        "TLS_PORT=8443",
        "TLS_CERTIFICATE_PATH=tls/site.pem",
        &format!("OVERLEAF_DATA_PATH={}/overleaf", disk.display()),
        "# Private key, and certificate with its intermediates, both PEM.",
    ] {
        assert!(rc.lines().any(|other| other == line), "no {line} in\n{rc}");
    }
    let variables = sandbox.read("config/variables.env");
    assert!(variables.contains("\nOVERLEAF_SITE_URL=https://tex.example.org\n"));
    sandbox.run(&["compose", "config"]).succeeded();
}

#[test]
fn a_proxy_in_front_makes_cookies_secure_and_is_trusted() {
    let sandbox = Sandbox::initialised(&[
        "--release",
        "5.5.5",
        "--tls",
        "proxy",
        "--proxy-address",
        "192.0.2.7",
    ]);
    let variables = sandbox.read("config/variables.env");
    for line in [
        "OVERLEAF_BEHIND_PROXY=true",
        "OVERLEAF_SECURE_COOKIE=true",
        "OVERLEAF_TRUSTED_PROXY_IPS=loopback,192.0.2.7",
    ] {
        assert!(variables.lines().any(|other| other == line), "no {line}");
    }
}

#[test]
fn flags_that_do_not_go_together_write_nothing() {
    for flags in [
        &["--listen", "127.0.0.1:81", "--port", "82"][..],
        &["--tls", "off", "--tls-certificate", "a.pem"],
        &["--tls", "nginx", "--proxy-address", "192.0.2.7"],
        &["--url", "tex.example.org"],
        &["--listen", "localhost"],
        &["--tls", "maybe"],
        &["--proxy-address", "proxy.example.org"],
    ] {
        let sandbox = Sandbox::new();
        let arguments: Vec<&str> = [&["init", "--no-input"], flags].concat();
        sandbox.run(&arguments).ended_with(2);
        assert!(!sandbox.root().join("config").exists(), "{flags:?}");
    }
}

/// The upstream scripts take `--tls` alone.
#[test]
fn tls_alone_means_nginx_and_a_wrong_scheme_is_told() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .run(&[
            "init",
            "--tls",
            "--url",
            "http://tex.example.org",
            "--format",
            "json",
        ])
        .succeeded();
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["data"]["written"][0], "config/nginx/nginx.conf");
    // The certificate is a sample, and the URL says another scheme.
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 2);
}

const KEY: &str = "config/nginx/certs/overleaf_key.pem";
const CERTIFICATE: &str = "config/nginx/certs/overleaf_certificate.pem";

/// What `openssl` says of files of a sandbox.
#[track_caller]
fn openssl(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl")
        .args(arguments)
        .current_dir(sandbox.root())
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A pair that belongs together, for a host, with a key for its owner only.
#[track_caller]
fn is_sample(sandbox: &Sandbox, host: &str) {
    use std::os::unix::fs::PermissionsExt;
    let of_key = openssl(sandbox, &["pkey", "-in", KEY, "-pubout"]);
    let arguments = ["x509", "-in", CERTIFICATE, "-pubkey", "-noout"];
    assert_eq!(openssl(sandbox, &arguments), of_key);
    let arguments = ["-check_ss_sig", "-purpose", "sslserver", CERTIFICATE];
    let arguments = [&["verify", "-CAfile", CERTIFICATE][..], &arguments].concat();
    openssl(sandbox, &arguments);
    let arguments = [
        "x509",
        "-in",
        CERTIFICATE,
        "-noout",
        "-ext",
        "subjectAltName",
    ];
    let names = openssl(sandbox, &arguments);
    assert!(names.contains(host), "{names}");
    let found = toolkit::probe::certificate::read(&sandbox.read(CERTIFICATE)).unwrap();
    assert_eq!(host.rsplit(':').next(), Some(&*found.subject));
    let mode = std::fs::metadata(sandbox.root().join(KEY))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn tls_brings_a_sample_certificate_with_which_an_instance_is_planned() {
    for (url, host) in [
        ("https://tex.example.org:8443", "DNS:tex.example.org"),
        ("https://192.0.2.7", "IP Address:192.0.2.7"),
    ] {
        let sandbox = Sandbox::initialised(&["--tls", "--url", url]);
        is_sample(&sandbox, host);
        sandbox.run(&["compose", "config"]).succeeded();
        let ran = sandbox.run(&["config", "lint"]);
        assert!(!ran.all().contains("certs"), "{}", ran.all());
    }
    // Where a pair is named, or half of one is there, none is made.
    let sandbox = Sandbox::initialised(&["--tls-certificate", "a.pem"]);
    assert!(!sandbox.root().join("config/nginx/certs").exists());
    let sandbox = Sandbox::new();
    sandbox.write(KEY, "mine");
    let ran = sandbox.run(&["init", "--no-input", "--tls"]).succeeded();
    assert!(ran.stderr.contains("does not exist yet"), "{}", ran.stderr);
    assert_eq!(sandbox.read(KEY), "mine");
    assert!(!sandbox.root().join(CERTIFICATE).exists());
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["init", "--tls", "--dry-run"]).succeeded();
    assert!(ran.stdout.contains(KEY), "{}", ran.stdout);
    assert!(!sandbox.root().join("config").exists());
}

#[test]
fn tls_adds_what_an_instance_lacks_and_switches_nothing_on() {
    let sandbox = Sandbox::initialised(&[]);
    let before = sandbox.read("config/overleaf.rc");
    let ran = sandbox.run(&["init", "--tls"]).succeeded();
    insta::assert_snapshot!(ran.stderr);
    assert_eq!(sandbox.read("config/overleaf.rc"), before);
    is_sample(&sandbox, "DNS:localhost");
    assert!(
        sandbox
            .read("config/nginx/nginx.conf")
            .contains("ssl_certificate")
    );
    // What is said to be set is enough.
    sandbox
        .run(&["config", "set", "--yes", "NGINX_ENABLED", "true"])
        .succeeded();
    sandbox
        .run(&["config", "set", "--yes", "OVERLEAF_PORT", "8080"])
        .succeeded();
    let ran = sandbox.run(&["compose", "config"]).succeeded();
    assert!(ran.stdout.contains("overleaf_key.pem"), "{}", ran.stdout);
    // A second time nothing is made, also where a part is another one by now.
    let key = sandbox.read(KEY);
    sandbox.write("config/nginx/nginx.conf", "mine");
    let ran = sandbox
        .run(&["init", "--tls", "--format", "json"])
        .succeeded();
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["data"]["written"], serde_json::json!([]));
    assert_eq!(answer["data"]["settings"], serde_json::json!([]));
    assert_eq!(sandbox.read(KEY), key);
    assert_eq!(sandbox.read("config/nginx/nginx.conf"), "mine");
    // With settings of its own it is still refused.
    let ran = sandbox
        .run(&["init", "--tls", "--port", "8443"])
        .ended_with(1);
    assert!(ran.stderr.contains("INIT_EXISTS"), "{}", ran.stderr);
}

#[test]
fn tls_leaves_files_in_other_places_to_their_owner() {
    let sandbox = Sandbox::initialised(&[]);
    sandbox.write(
        "config/overleaf.rc",
        "NGINX_CONFIG_PATH=config/own.conf\nTLS_CERTIFICATE_PATH='/etc/site.pem'\nTLS_PRIVATE_KEY_PATH=/etc/site.key\n",
    );
    let ran = sandbox.run(&["init", "--tls"]).succeeded();
    assert!(
        !sandbox.root().join("config/nginx").exists(),
        "{}",
        ran.all()
    );
    assert!(ran.stderr.contains("`/etc/site.pem` does not exist yet"));
    assert!(
        ran.stderr
            .contains("set NGINX_ENABLED=true, OVERLEAF_PORT=8080")
    );
}

#[test]
fn a_second_instance_takes_ports_that_are_free() {
    // An address of its own, so that nothing else on this machine is in the way.
    let address = "127.9.8.7";
    let Ok(_first) = std::net::TcpListener::bind((address, 80)) else {
        // This user may not listen on port 80.
        return;
    };
    let _other = std::net::TcpListener::bind((address, 8080)).unwrap();
    let sandbox = Sandbox::new();
    let flags = [
        "init",
        "--no-input",
        "--project-name",
        "b",
        "--listen",
        address,
    ];
    let ran = sandbox.run(&flags).succeeded();
    assert!(
        ran.stderr.starts_with("port 80 is taken by process `"),
        "{}",
        ran.stderr
    );
    let rc = sandbox.read("config/overleaf.rc");
    assert!(rc.contains("\nOVERLEAF_PORT=8081\n"), "{rc}");
    assert!(rc.contains("\nCONTAINER_NAMES=project\n"), "{rc}");

    let sandbox = Sandbox::new();
    let flags = [&flags[..], &["--tls", "nginx"]].concat();
    sandbox.run(&flags).succeeded();
    let rc = sandbox.read("config/overleaf.rc");
    assert!(rc.contains("\nNGINX_HTTP_PORT=8081\n"), "{rc}");
    assert!(rc.contains("\nTLS_PORT=443\n"), "{rc}");

    // A port that was asked for is not replaced by another one.
    let sandbox = Sandbox::new();
    let flags = ["init", "--no-input", "--listen", address, "--port", "8080"];
    sandbox.run(&flags).succeeded();
    let rc = sandbox.read("config/overleaf.rc");
    assert!(rc.contains("\nOVERLEAF_PORT=8080\n"), "{rc}");
}
