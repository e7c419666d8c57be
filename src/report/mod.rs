//! Lint findings, in and out: evaluated from templates, read from other tools, written as reports. Pure: no I/O.
//!
//! People approve deployments on the basis of these reports, and approvals bind to their bytes: the same input
//! gives the same bytes, so nothing here reads a clock, an environment or a file. In reading order:
//!
//! - [`finding`]: what was found, and the verdict over it.
//! - [`document`]: a template's text, parsed with the place of everything.
//! - [`template`], [`guard`]: our own checks.
//! - [`cfn_lint`], [`sarif`]: what other tools found.
//! - [`difference`], [`secret`]: what deploying would change, with nothing shown that should be hidden.
//! - [`json`], [`sarif`], [`junit`], [`html`]: the reports.

pub mod cfn_lint;
pub mod difference;
pub mod document;
pub mod finding;
pub mod guard;
pub mod html;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod secret;
pub mod template;
