//! Regions of interest: the `roi` property, and GstVideoRegionOfInterestMeta on buffers.

use lic_codec::Region;

/// Delta QP of regions that name none.
pub const DEFAULT_DELTA_QP: i32 = -6;

/// `x,y,width,height[,delta-qp];...`, in pixels.
pub fn parse(text: &str) -> Result<Vec<Region>, String> {
    let one = |text: &str| {
        let wrong = || format!("roi: {text:?} is no x,y,width,height[,delta-qp] with pixels as whole numbers and a delta QP of -24 to 24");
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let (rectangle, delta) = fields.split_at_checked(4).ok_or_else(wrong)?;
        let pixels: Vec<u32> = rectangle.iter().map(|f| f.parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let delta_qp = match delta {
            [] => DEFAULT_DELTA_QP as f32,
            [d] => d.parse().ok().filter(|d| (-24.0..=24.0).contains(d)).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        Ok(Region { x: pixels[0], y: pixels[1], width: pixels[2], height: pixels[3], delta_qp })
    };
    text.split(';').filter(|part| !part.trim().is_empty()).map(one).collect()
}

/// What the metas of a buffer ask for. The delta QP is the integer `delta-qp` of a parameter named `roi/licenc` or, if there is none, of
/// one that is meant for another encoder (`roi/vaapi`, `roi/x264enc` and the like), which follow the same custom.
pub fn of_buffer(buffer: &gst::BufferRef) -> Vec<Region> {
    let region = |meta: gst::MetaRef<gst_video::VideoRegionOfInterestMeta>| {
        let delta = |s: &gst::StructureRef| s.get::<i32>("delta-qp").ok();
        let own = meta.params().find(|s| s.name() == "roi/licenc").and_then(delta);
        let other = || meta.params().filter(|s| s.name().starts_with("roi/")).find_map(delta);
        let delta_qp = own.or_else(other).unwrap_or(DEFAULT_DELTA_QP) as f32;
        let (x, y, width, height) = meta.rect();
        Region { x, y, width, height, delta_qp }
    };
    buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(region).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_lists_rectangles() {
        let r = parse("0,16,32,48;1, 2, 3, 4, -9.5;").unwrap();
        assert_eq!(r.len(), 2);
        assert_eq!((r[0].x, r[0].y, r[0].width, r[0].height, r[0].delta_qp), (0, 16, 32, 48, DEFAULT_DELTA_QP as f32));
        assert_eq!((r[1].x, r[1].delta_qp), (1, -9.5));
        assert!(parse("").unwrap().is_empty());
        for wrong in ["1,2,3", "1,2,3,x", "-1,2,3,4", "1,2,3,4,99", "1,2,3,4,5,6", "1,2,3,4,nan"] {
            assert!(parse(wrong).unwrap_err().contains("x,y,width,height"), "{wrong}");
        }
    }
}
