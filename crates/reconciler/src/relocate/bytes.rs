//! A manifest file with other paths of its bases, and otherwise the same bytes.
//!
//! The message is taken apart by its fields and put together again, so that what a newer or older Lance has written
//! into it stays, known or not. What stands before the message, transaction and indexes, does not move.

use std::collections::BTreeMap;

use lance_table::format::pb;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::DecodeContext;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

use crate::cleanup::StoredError;
use crate::cleanup::stored::{self, manifest_range};

/// The field of a manifest that has its bases.
const BASE_PATHS: u32 = 18;

/// The content of a manifest file in which bases have these paths.
///
/// # Errors
///
/// When it is no manifest file.
pub(super) fn repointed(
    content: &Bytes,
    paths: &BTreeMap<u32, String>,
) -> Result<Bytes, StoredError> {
    let range = manifest_range(content)?;
    let message = rewritten(content.slice(range.clone()), paths)?;
    let length =
        u32::try_from(message.len()).map_err(|_| StoredError::Outside { what: "the manifest" })?;
    let mut file = BytesMut::with_capacity(content.len() + message.len() - range.len());
    let prefix = range.start - size_of::<u32>();
    file.put_slice(&content[..prefix]);
    file.put_u32_le(length);
    file.put_slice(&message);
    file.put_slice(&content[range.end..]);
    let file = file.freeze();
    check(content, &file, paths)?;
    Ok(file)
}

fn rewritten(message: Bytes, paths: &BTreeMap<u32, String>) -> Result<BytesMut, StoredError> {
    let failed = |source| StoredError::Decode { what: "the manifest", source };
    let mut rest = message.clone();
    let mut out = BytesMut::with_capacity(message.len());
    while rest.has_remaining() {
        let start = message.len() - rest.remaining();
        let (field, wire) = decode_key(&mut rest).map_err(failed)?;
        if field == BASE_PATHS && wire == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(failed)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.remaining());
            let length = length.ok_or(StoredError::Outside { what: "a base" })?;
            let mut base: pb::BasePath = stored::decoded(rest.copy_to_bytes(length), "a base")?;
            if let Some(path) = paths.get(&base.id) {
                base.path.clone_from(path);
            }
            encode_key(field, wire, &mut out);
            encode_varint(base.encoded_len() as u64, &mut out);
            out.put_slice(&base.encode_to_vec());
        } else {
            skip_field(wire, field, &mut rest, DecodeContext::default()).map_err(failed)?;
            out.put_slice(&message[start..message.len() - rest.remaining()]);
        }
    }
    Ok(out)
}

/// Nothing but the paths has changed, by the reading that a cleanup trusts.
fn check(before: &Bytes, after: &Bytes, paths: &BTreeMap<u32, String>) -> Result<(), StoredError> {
    let (mut expected, indexes) = stored::decode(before)?;
    for base in &mut expected.base_paths {
        if let Some(path) = paths.get(&base.id) {
            base.path.clone_from(path);
        }
    }
    let (found, indexes_found) = stored::decode(after)?;
    if found == expected && indexes == indexes_found {
        return Ok(());
    }
    Err(StoredError::Outside { what: "what was changed" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(id: u32, path: &str) -> pb::BasePath {
        pb::BasePath {
            id,
            name: Some("n".to_owned()),
            is_dataset_root: true,
            path: path.to_owned(),
        }
    }

    /// A message with two bases and a field that nobody knows, in no order.
    fn message(paths: [&str; 2]) -> Vec<u8> {
        let mut out = Vec::new();
        let put = |out: &mut Vec<u8>, field: u32, value: &[u8]| {
            encode_key(field, WireType::LengthDelimited, out);
            encode_varint(value.len() as u64, out);
            out.put_slice(value);
        };
        put(&mut out, BASE_PATHS, &base(4, paths[0]).encode_to_vec());
        encode_key(3, WireType::Varint, &mut out);
        encode_varint(7, &mut out);
        put(&mut out, 999, b"from the future");
        put(&mut out, BASE_PATHS, &base(5, paths[1]).encode_to_vec());
        out
    }

    fn file(message: &[u8]) -> Bytes {
        let mut content = BytesMut::new();
        content.put_slice(b"whatever stands before");
        let position = content.len() as u64;
        content.put_u32_le(u32::try_from(message.len()).unwrap());
        content.put_slice(message);
        content.put_u64_le(position);
        content.put_slice(&[0, 0, 2, 0]);
        content.put_slice(b"LANC");
        content.freeze()
    }

    #[test]
    fn only_the_paths_change_and_what_nobody_knows_stays() {
        let paths = BTreeMap::from([(5, "/a/much/longer/path/than/before".to_owned())]);
        let before = file(&message(["/old/a", "/old/b"]));
        let after = repointed(&before, &paths).unwrap();
        assert_eq!(after, file(&message(["/old/a", "/a/much/longer/path/than/before"])));
        let back = BTreeMap::from([(5, "/old/b".to_owned())]);
        assert_eq!(repointed(&after, &back).unwrap(), before, "and back, byte by byte");
        assert_eq!(repointed(&before, &BTreeMap::new()).unwrap(), before);
    }

    #[test]
    fn what_is_cut_is_an_error_and_no_panic() {
        let whole = file(&message(["/old/a", "/old/b"]));
        let paths = BTreeMap::from([(5, "/new/b".to_owned())]);
        for length in 0..whole.len() {
            assert!(repointed(&whole.slice(..length), &paths).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 0xff;
            // Whether it can be changed or not: it ends.
            let _ = repointed(&broken.into(), &paths);
        }
    }
}
