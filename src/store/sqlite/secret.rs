//! The installation's secret in the database: made with the schema, and closed to others.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use sqlx::SqliteConnection;

use super::failure::Place;

/// Makes the secret, unless there is one.
pub(super) async fn make(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut secret = [0; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret)).map_err(sqlx::Error::Io)?;
    let made = sqlx::query("INSERT OR IGNORE INTO installation (one, secret) VALUES (1, ?)").bind(secret.as_slice());
    made.execute(connection).await.map(drop)
}

/// Takes from everybody else on this machine what they may do with the database's files: a secret comes into them. SQLite
/// gives the files that it makes beside the database the same permissions.
pub(super) fn close_to_others(place: &Place) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = format!("{}{suffix}", place.path);
        let Ok(known) = std::fs::metadata(&path) else { continue };
        let mut permissions = known.permissions();
        permissions.set_mode(permissions.mode() & !0o007);
        if let Err(error) = std::fs::set_permissions(Path::new(&path), permissions) {
            tracing::warn!(path, %error, "everybody on this machine can read the database, and so can prove commits");
        }
    }
}
