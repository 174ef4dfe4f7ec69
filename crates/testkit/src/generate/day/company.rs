//! Who and what the company is made of.

use super::super::random::Random;

/// Somebody who works with computers.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// `given.family`
    pub(super) name: String,
    /// Where they mostly work from: the office or their home.
    pub(super) address: String,
}

impl Person {
    pub(super) fn email(&self) -> String {
        format!("{}@corp.example", self.name)
    }
}

/// The company.
#[derive(Debug)]
pub(super) struct Company {
    /// Engineers of platforms and products, who use clouds and clusters each day.
    pub(super) engineers: Vec<Person>,
    /// Administrators of Windows and of the directory.
    pub(super) administrators: Vec<Person>,
    /// Everybody else.
    pub(super) staff: Vec<Person>,
    /// Ids of the accounts of AWS.
    pub(super) accounts: Vec<String>,
    /// Subscriptions of Azure.
    pub(super) subscriptions: Vec<String>,
    /// Projects of Google Cloud.
    pub(super) projects: Vec<String>,
}

const GIVEN: &[&str] = &[
    "anna", "boris", "chen", "dana", "elif", "farid", "greta", "hugo", "irina", "jonas", "katja", "liam",
    "mina", "nils", "olga", "pavel", "qing", "rosa", "sven", "tanja", "uwe", "vera", "wim", "xenia", "yusuf",
    "zoe",
];
const FAMILY: &[&str] = &[
    "adler", "brandt", "costa", "diaz", "ek", "fuchs", "graf", "hahn", "ivanov", "jansen", "keller", "lang",
    "moreau", "novak", "orlov", "petrov", "roth", "sato", "tanaka", "ueda", "vogel", "weber", "yilmaz",
    "zimmer",
];

/// The addresses that the offices have on the outside.
pub(super) const OFFICES: [&str; 2] = ["198.51.100.10", "198.51.100.11"];

impl Company {
    /// A few engineers are elsewhere each day: at a customer's, in a hotel.
    pub(super) fn travel(&mut self, day: u32) {
        let day = usize::try_from(day).unwrap_or(0);
        for (number, person) in self.engineers.iter_mut().enumerate() {
            if number % 12 == day % 12 {
                person.address = format!("192.0.2.{}", 100 + (number + 13 * day) % 100);
            }
        }
    }

    pub(super) fn new(random: &mut Random) -> Self {
        let mut number: u64 = 0;
        let mut people = |count: u64, random: &mut Random| -> Vec<Person> {
            (0..count)
                .map(|_| {
                    number += 1;
                    let given = GIVEN
                        .get(usize::try_from(number).unwrap_or(0) % GIVEN.len())
                        .unwrap_or(&"a");
                    let family = random.pick(FAMILY).unwrap_or(&"b");
                    let address = match random.below(3) {
                        0 => format!("203.0.113.{}", 10 + number % 200),
                        office => OFFICES
                            .get(usize::try_from(office % 2).unwrap_or(0))
                            .unwrap_or(&OFFICES[0])
                            .to_string(),
                    };
                    let name = format!(
                        "{given}.{family}{}",
                        if number > 26 {
                            number.to_string()
                        } else {
                            String::new()
                        }
                    );
                    Person { name, address }
                })
                .collect()
        };
        Self {
            engineers: people(60, random),
            administrators: people(8, random),
            staff: people(400, random),
            accounts: (0..30)
                .map(|account| (310_000_000_017_u64 + account * 7_919_000_003).to_string())
                .collect(),
            subscriptions: (0..12)
                .map(|number| super::Life::uuid_of(&format!("subscription {number}")))
                .collect(),
            projects: (0..8)
                .map(|number| {
                    format!(
                        "corp-{}-{}",
                        ["shop", "data", "ml", "core"][number % 4],
                        ["prod", "test"][number / 4]
                    )
                })
                .collect(),
        }
    }
}
