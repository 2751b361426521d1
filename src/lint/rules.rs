//! The rules' functions, in the order in which they are applied: what tells more about a name comes
//! before what tells less, so that one mistake gives one finding.

mod names;
mod releases;
mod secrets;
mod site;
mod stores;
mod values;
mod writing;

use super::findings::Findings;
use super::folder::Folder;
use super::rule::Rule;

/// Looks at the files by one rule.
pub(super) type Check = fn(&Rule, &Folder<'_>, &mut Findings);

/// Every rule with its function.
pub(super) const CHECKS: &[(&str, Check)] = &[
    ("overleaf-rc-syntax", writing::rc_syntax),
    ("variables-env-syntax", writing::variables_syntax),
    ("definition", writing::definition),
    ("unusable-value", writing::unusable_value),
    ("dollar-expands-to-nothing", writing::dollar),
    ("duplicate-key", writing::duplicate_key),
    ("export-in-variables-env", writing::export),
    ("text-after-quote", writing::text_after_quote),
    ("comment-kept-as-value", writing::comment_kept),
    ("shell-quoting-kept", writing::shell_quoting),
    ("version-form", releases::version_form),
    ("retracted-release", releases::retracted),
    ("unknown-release", releases::unknown),
    ("image-tag-twice", releases::image_tag_twice),
    ("mongo-version-in-image", values::mongo_version_in_image),
    ("project-unnamed", values::project_unnamed),
    ("old-brand-settings", names::old_brand_settings),
    ("setting-missing", values::setting_missing),
    ("setting-value", values::setting_value),
    ("trailing-blank", writing::trailing_blank),
    ("misspelt-setting", names::misspelt_setting),
    ("setting-without-effect", values::setting_without_effect),
    ("variable-in-overleaf-rc", names::variable_in_rc),
    ("unused-name", names::unused_name),
    ("mongo-too-old", releases::mongo_too_old),
    ("mongo-too-new", releases::mongo_too_new),
    ("image-tag-latest", releases::image_tag_latest),
    (
        "image-of-another-edition",
        releases::image_of_another_edition,
    ),
    ("aof-off", stores::aof_off),
    ("data-paths-overlap", stores::paths_overlap),
    ("listeners-overlap", site::listeners_overlap),
    ("port-blocked-by-browsers", site::blocked_port),
    ("old-brand-variables", names::old_brand_variables),
    ("new-brand-too-early", names::new_brand_too_early),
    ("leftover-texmfvar", names::leftover_texmfvar),
    ("secure-cookie-false-is-on", values::secure_cookie),
    ("trusted-proxies-without-loopback", site::trusted_proxies),
    ("trusted-proxies-host-name", site::trusted_proxy_names),
    ("sandbox-on-community", values::sandbox_on_community),
    ("texlive-images", releases::texlive_images),
    ("missing-secret", secrets::missing),
    ("secret-too-short", secrets::too_short),
    ("partial-secrets", secrets::partial),
    ("history-passwords-differ", secrets::history),
    ("redis-one-family", stores::redis_one_family),
    ("setting-in-variables-env", names::setting_in_variables),
    ("misspelt-variable", names::misspelt_variable),
    ("unknown-variable", names::unknown_variable),
    ("example-value", names::example_value),
    ("variable-set-by-toolkit", values::set_by_toolkit),
    ("variable-of-another-edition", values::another_edition),
    ("variable-not-yet-read", values::not_yet_read),
    ("variable-no-longer-read", values::no_longer_read),
    ("false-counts-as-on", values::false_counts_as_on),
    ("number-out-of-range", values::number_out_of_range),
    ("value-stops-services", values::stops_services),
    ("value-of-wrong-form", values::wrong_form),
    ("site-url-trailing-slash", site::trailing_slash),
    ("site-url-scheme", site::scheme),
    ("site-url-local", site::local_url),
    ("site-url-unset", site::unset_url),
    ("behind-proxy-unset", site::behind_proxy),
    ("old-path-in-value", names::old_path),
    ("secrets-readable-by-others", secrets::readable),
    ("private-key-readable", secrets::private_key),
];
