//! Databases in MaxMind's format: where addresses are, and whose. <https://maxmind.github.io/MaxMind-DB/>

use std::collections::BTreeMap;
use std::net::IpAddr;

use maxminddb::Reader;
use neph_normalize::{Map, Value};
use serde::Deserialize;

/// What stands before the metadata, which is in the last 128 KiB of a file.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";
const METADATA_BYTES: usize = 128 << 10;

/// A database that is held in memory.
#[derive(Debug)]
pub(crate) struct Database {
    reader: Reader<Vec<u8>>,
}

/// What databases know of an address.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Fields of `geo`.
    geo: Vec<(&'static str, String)>,
    /// Latitude and longitude.
    location: Option<(f64, f64)>,
    number: Option<u32>,
    organization: Option<String>,
}

/// The parts of a record that have a field in ECS, of all kinds of databases at once.
/// <https://dev.maxmind.com/geoip/docs/databases/city-and-country>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry<'d> {
    #[serde(borrow)]
    city: Named<'d>,
    continent: Named<'d>,
    country: Named<'d>,
    #[serde(default)]
    location: Location<'d>,
    postal: Named<'d>,
    subdivisions: Vec<Named<'d>>,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'d str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'d> {
    code: Option<&'d str>,
    iso_code: Option<&'d str>,
    #[serde(borrow)]
    names: BTreeMap<&'d str, &'d str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location<'d> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: Option<&'d str>,
}

impl Named<'_> {
    fn name(&self) -> Option<String> {
        self.names.get("en").map(|name| (*name).to_owned())
    }
}

impl Database {
    /// Whether a file is a database.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        let tail = bytes.len().saturating_sub(METADATA_BYTES);
        let tail = bytes.get(tail..).unwrap_or_default();
        tail.windows(MARK.len()).any(|window| window == MARK)
    }

    pub(crate) fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        Ok(Self { reader })
    }

    /// Adds what the database knows of an address; what another database said before stays. A record that cannot be
    /// read is as one that is not there.
    pub(crate) fn look_up(&self, address: IpAddr, place: &mut Place) {
        let found = self.reader.lookup(address).ok();
        let Some(entry) = found.and_then(|found| found.decode::<Entry<'_>>().ok()?) else {
            return;
        };
        if place.geo.is_empty() {
            place.add_geo(&entry);
        }
        place.number = place.number.or(entry.autonomous_system_number);
        if place.organization.is_none() {
            place.organization = entry.autonomous_system_organization.map(str::to_owned);
        }
    }
}

impl Place {
    fn add_geo(&mut self, entry: &Entry<'_>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let region = entry.subdivisions.first();
        let region_code = region.and_then(|region| region.iso_code);
        let fields = [
            ("city_name", entry.city.name()),
            ("continent_code", owned(entry.continent.code)),
            ("continent_name", entry.continent.name()),
            ("country_iso_code", owned(entry.country.iso_code)),
            ("country_name", entry.country.name()),
            ("postal_code", owned(entry.postal.code)),
            (
                "region_iso_code",
                entry
                    .country
                    .iso_code
                    .zip(region_code)
                    .map(|(country, region)| format!("{country}-{region}")),
            ),
            ("region_name", region.and_then(Named::name)),
            ("timezone", owned(entry.location.time_zone)),
        ];
        let filled = fields
            .into_iter()
            .filter_map(|(field, text)| Some((field, text?)));
        self.geo.extend(filled);
        self.location = entry.location.latitude.zip(entry.location.longitude);
    }

    /// Writes `geo` and `as` into the object of an address, each only where the record has none.
    pub(crate) fn write<'a>(&self, side: &'a Map<'a>) {
        if (!self.geo.is_empty() || self.location.is_some()) && is_vacant(side, "geo") {
            let geo = side.new_map();
            for (field, text) in &self.geo {
                geo.add(field, Value::Text(side.text(text)));
            }
            if let Some((latitude, longitude)) = self.location {
                let location = side.new_map();
                location.add("lat", Value::Float(latitude));
                location.add("lon", Value::Float(longitude));
                geo.add("location", Value::Map(location));
            }
            side.set("geo", Value::Map(geo));
        }
        if (self.number.is_some() || self.organization.is_some()) && is_vacant(side, "as") {
            let system = side.new_map();
            if let Some(number) = self.number {
                system.add("number", Value::Int(number.into()));
            }
            if let Some(name) = &self.organization {
                let organization = side.new_map();
                organization.add("name", Value::Text(side.text(name)));
                system.add("organization", Value::Map(organization));
            }
            side.set("as", Value::Map(system));
        }
    }
}

fn is_vacant(object: &Map<'_>, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_blank)
}
