//! Which places of a picture at 1/8 of its size are computed.

/// Chosen places of a grid, in the order of their rows.
pub struct Rows {
    width: usize,
    /// Raster index of each row's place.
    at: Vec<u32>,
    /// Row of each place of the grid with a border of one around it; `at.len()` where there is none.
    row_of: Vec<u32>,
}

impl Rows {
    /// `at`: raster indices of distinct places of a grid of `width` x `height`.
    pub fn new(width: usize, height: usize, at: Vec<u32>) -> Rows {
        let mut row_of = vec![at.len() as u32; (width + 2) * (height + 2)];
        for (row, &p) in at.iter().enumerate() {
            let (x, y) = (p as usize % width, p as usize / width);
            row_of[(y + 1) * (width + 2) + x + 1] = row as u32;
        }
        Rows { width, at, row_of }
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Places in a line of the grid.
    pub fn width(&self) -> usize {
        self.width
    }

    /// (column, line) of a row's place.
    pub fn place(&self, row: usize) -> (usize, usize) {
        (self.at[row] as usize % self.width, self.at[row] as usize / self.width)
    }

    /// Rows of the 3x3 places around that of `row`, in raster order; [`len`](Rows::len) where nothing is computed.
    pub(crate) fn around(&self, row: usize) -> [u32; 9] {
        let (x, y) = self.place(row);
        std::array::from_fn(|i| self.row_of[(y + i / 3) * (self.width + 2) + x + i % 3])
    }
}
