//! How the site is reached.

use super::{NGINX, expect, expect_rc, expect_variables};

#[test]
fn a_secure_cookie_that_is_switched_off_locks_nobody_out() {
    for word in ["false", "0", "no", "False"] {
        let text = format!("OVERLEAF_SECURE_COOKIE={word}\n");
        expect_variables(&text, &["secure-cookie-false-is-on E env:1"]);
    }
    expect_variables(
        "OVERLEAF_SITE_URL=http://tex.uni.edu\nOVERLEAF_SECURE_COOKIE=false\n",
        &["secure-cookie-false-is-on E env:2"],
    );
    expect(
        "MONGO_VERSION=5.0\n",
        "SHARELATEX_SECURE_COOKIE=false\n",
        "4.2.9",
        &["secure-cookie-false-is-on E env:1"],
    );
}

#[test]
fn proxies_without_loopback_stop_no_service() {
    for (list, expected) in [
        (
            "10.0.0.1",
            &["trusted-proxies-without-loopback E env:1"][..],
        ),
        ("loopback,10.0.0.1", &[]),
        ("127.0.0.1, 10.0.0.0/8,fd00::/8", &[]),
        (
            "loopback,proxy.local",
            &["trusted-proxies-host-name E env:1"],
        ),
        ("localhost", &["trusted-proxies-host-name E env:1"]),
        ("proxy.local", &["trusted-proxies-without-loopback E env:1"]),
    ] {
        expect_variables(&format!("OVERLEAF_TRUSTED_PROXY_IPS={list}\n"), expected);
    }
}

#[test]
fn invitations_never_lead_to_two_slashes_or_to_the_readers_machine() {
    let open = "OVERLEAF_LISTEN_IP=0.0.0.0\n";
    for (rc, url, expected) in [
        (
            "",
            "https://tex.uni.edu/",
            &["site-url-trailing-slash E env:1"][..],
        ),
        ("", "http://localhost", &[]),
        (open, "http://localhost", &["site-url-local W env:1"]),
        (open, "http://127.0.0.1:8080", &["site-url-local W env:1"]),
        (open, "http://tex.uni.edu", &[]),
        (
            "OVERLEAF_LISTEN_IP=192.0.2.1\n",
            "",
            &["site-url-unset W env:1"],
        ),
        ("OVERLEAF_LISTEN_IP=\n", "", &["site-url-unset W env:1"]),
        ("OVERLEAF_LISTEN_IP=[::1]\n", "", &[]),
    ] {
        expect(rc, &format!("OVERLEAF_SITE_URL={url}\n"), "6.2.2", expected);
    }
    expect(
        open,
        "# OVERLEAF_SITE_URL=x\n",
        "6.2.2",
        &["site-url-unset W env:1"],
    );
    let proxied = format!("{open}{NGINX}");
    expect(&proxied, "", "6.2.2", &[]);
}

#[test]
fn a_site_url_has_the_scheme_of_its_cookies() {
    let http = "OVERLEAF_SITE_URL=http://tex.uni.edu\n";
    expect(NGINX, http, "6.2.2", &["site-url-scheme E env:1"]);
    let secure = format!("{http}OVERLEAF_SECURE_COOKIE=true\n");
    expect("", &secure, "6.2.2", &["site-url-scheme E env:1"]);
    expect("", http, "6.2.2", &[]);
}

#[test]
fn https_below_6_names_its_proxy() {
    let https = "OVERLEAF_SITE_URL=https://tex.uni.edu\n";
    expect("", https, "5.5.8", &["behind-proxy-unset W env:1"]);
    expect(NGINX, https, "5.5.8", &[]);
    let proxied = format!("{https}OVERLEAF_BEHIND_PROXY=true\n");
    expect("", &proxied, "5.5.8", &[]);
    expect("", &proxied, "6.2.2", &["variable-no-longer-read W env:2"]);
}

#[test]
fn two_listeners_do_not_share_a_port() {
    let https = "OVERLEAF_SITE_URL=https://tex.uni.edu\n";
    for (ports, expected) in [
        ("NGINX_HTTP_PORT=8080\n", &[][..]),
        (
            "NGINX_HTTP_PORT=8080\nOVERLEAF_LISTEN_IP=0.0.0.0\n",
            &["listeners-overlap E rc:1"],
        ),
        (
            "TLS_PORT=443\nNGINX_HTTP_PORT=443\n",
            &["listeners-overlap E rc:1"],
        ),
        (
            "OVERLEAF_PORT=440-450\nOVERLEAF_LISTEN_IP=\n",
            &["listeners-overlap E rc:6"],
        ),
        (
            "NGINX_HTTP_PORT=80\nOVERLEAF_PORT=80\nOVERLEAF_LISTEN_IP=[::]\n",
            &["listeners-overlap E rc:1"],
        ),
    ] {
        expect(&format!("{ports}{NGINX}"), https, "6.2.2", expected);
    }
}

#[test]
fn no_browser_refuses_the_port() {
    expect_rc("OVERLEAF_PORT=6000\n", &["port-blocked-by-browsers E rc:1"]);
    expect_rc(
        "OVERLEAF_PORT=10070-10090\n",
        &["port-blocked-by-browsers E rc:1"],
    );
    expect_rc("OVERLEAF_PORT=6001\n", &[]);
    // Behind a proxy of one's own, nobody opens the port itself.
    let rc = "OVERLEAF_PORT=6000\n";
    expect(rc, "OVERLEAF_SITE_URL=https://tex.uni.edu\n", "6.2.2", &[]);
    let direct = "OVERLEAF_SITE_URL=http://tex.uni.edu:6000\n";
    expect(rc, direct, "6.2.2", &["port-blocked-by-browsers E rc:1"]);
}
