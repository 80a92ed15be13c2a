//! What kind of media bytes are, by how they begin. Must never trust what their sender says.

/// The media type, or `None` for all that is not known to be an image, PDF, audio or video.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => "audio/aiff",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'I', b'D', b'3', ..] => "audio/mp3",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "video/webm",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => of_brand(brand)?,
        [0xff, second, third, ..] => of_frame(*second, *third)?,
        _ => return None,
    })
}

/// The brand of an ISO base media file, four letters.
fn of_brand(brand: &[u8]) -> Option<&'static str> {
    Some(match brand.first_chunk::<4>()? {
        b"heic" | b"heix" | b"heim" | b"heis" => "image/heic",
        b"mif1" | b"msf1" | b"hevc" | b"hevx" => "image/heif",
        b"avif" | b"avis" => "image/avif",
        b"M4A " | b"M4B " => "audio/mp4",
        b"qt  " => "video/quicktime",
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"dash" | b"M4V " => {
            "video/mp4"
        }
        _ => return None,
    })
}

/// MPEG audio by its frame header: eleven bits of sync, then version, layer and bit rate. ADTS has layer 0.
fn of_frame(second: u8, third: u8) -> Option<&'static str> {
    let (version, layer, rate) = (second >> 3 & 0b11, second >> 1 & 0b11, third >> 4);
    match (second & 0xe0 == 0xe0, version, layer) {
        (true, 0b10 | 0b11, 0b00) if second & 0xf0 == 0xf0 => Some("audio/aac"),
        (true, 0b00 | 0b10 | 0b11, 0b01) if rate != 0b1111 => Some("audio/mp3"),
        _ => None,
    }
}
