//! The schema, by `user_version`: each step brings a database from one version to the next.

use rusqlite::Connection;

use crate::StoreError;

/// Step n makes version n + 1 of version n. Steps that were released are never changed; new ones are added.
const STEPS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
];

pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let known = STEPS.len() as i64;
    let Some(steps) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else {
        return Err(StoreError::Newer { found, known });
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "user_version", known)?;
    }
    Ok(transaction.commit()?)
}

/// A reader changes no schema; it reads the one that it knows.
pub(super) fn check(db: &Connection) -> Result<(), StoreError> {
    let found = version(db)?;
    let known = STEPS.len() as i64;
    match found {
        0 => Err(StoreError::Missing {
            what: "database",
            id: db.path().unwrap_or_default().to_owned(),
        }),
        found if found == known => Ok(()),
        found if found > known => Err(StoreError::Newer { found, known }),
        _ => Err(StoreError::Invalid {
            why: format!(
                "the database has schema {found}; start the service once, which brings it to {known}"
            ),
        }),
    }
}

fn version(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
