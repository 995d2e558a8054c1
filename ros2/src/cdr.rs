//! Classic CDR, little endian when written and of either order when read (OMG DDS-XTypes 7.4.1, plain CDR version 1).
//!
//! Alignment counts from behind the four bytes of encapsulation. What is read is bounded by the input: nothing is allocated
//! before its bytes are known to be there.

/// Why bytes are no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CdrError {
    #[error("it ends too early")]
    Short,
    #[error("its encapsulation is not plain CDR")]
    Encapsulation,
    #[error("it holds a string that is not UTF-8 or has no NUL at its end")]
    Text,
    #[error("it holds a truth value that is neither 0 nor 1")]
    Bool,
    #[error("more follows than the message")]
    Trailing,
}

const ENCAPSULATION: usize = 4;

pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// `capacity`: bytes to come, as a guess.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + ENCAPSULATION);
        bytes.extend([0, 1, 0, 0]);
        Self(bytes)
    }

    fn aligned<const N: usize>(&mut self, value: [u8; N]) {
        let body = self.0.len() - ENCAPSULATION;
        self.0.resize(ENCAPSULATION + body.next_multiple_of(N), 0);
        self.0.extend(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(value.into());
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.aligned(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.aligned(value.to_le_bytes());
    }

    pub(crate) fn f64s(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.aligned(value.to_le_bytes()));
    }

    /// A sequence longer than 32 bits count is cut; no frame is that long.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.u32(length);
        self.0.extend(&value[..length as usize]);
    }

    /// Up to the first NUL, at which the other side would stop reading.
    pub(crate) fn text(&mut self, value: &str) {
        let value = value.split('\0').next().unwrap_or_default();
        let length = u32::try_from(value.len() + 1).unwrap_or(u32::MAX);
        self.u32(length);
        self.0.extend(&value.as_bytes()[..length as usize - 1]);
        self.0.push(0);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Result<Self, CdrError> {
        let (head, body) = message.split_at_checked(ENCAPSULATION).ok_or(CdrError::Short)?;
        match head[..2] {
            [0, 0] => Ok(Self { body, at: 0, big_endian: true }),
            [0, 1] => Ok(Self { body, at: 0, big_endian: false }),
            _ => Err(CdrError::Encapsulation),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CdrError> {
        let end = self.at.checked_add(count).ok_or(CdrError::Short)?;
        let taken = self.body.get(self.at..end).ok_or(CdrError::Short)?;
        self.at = end;
        Ok(taken)
    }

    /// The value's bytes, little endian.
    fn aligned<const N: usize>(&mut self) -> Result<[u8; N], CdrError> {
        self.at = self.at.next_multiple_of(N);
        let mut value: [u8; N] = self.take(N)?.try_into().map_err(|_| CdrError::Short)?;
        if self.big_endian {
            value.reverse();
        }
        Ok(value)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, CdrError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(CdrError::Bool),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CdrError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn i32(&mut self) -> Result<i32, CdrError> {
        self.aligned().map(i32::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CdrError> {
        self.aligned().map(u32::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, CdrError> {
        self.aligned().map(f64::from_le_bytes)
    }

    /// A sequence of doubles. An empty one has no padding behind its length.
    pub(crate) fn f64s(&mut self) -> Result<Vec<f64>, CdrError> {
        let count = self.u32()? as usize;
        if count > (self.body.len() - self.at) / 8 {
            return Err(CdrError::Short);
        }
        (0..count).map(|_| self.f64()).collect()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[f64; N], CdrError> {
        let mut values = [0.0; N];
        values.iter_mut().try_for_each(|value| self.f64().map(|read| *value = read))?;
        Ok(values)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CdrError> {
        let count = self.u32()? as usize;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CdrError> {
        match self.bytes()? {
            [] => Ok(""), // some writers send empty strings so
            [text @ .., 0] => std::str::from_utf8(text).map_err(|_| CdrError::Text),
            _ => Err(CdrError::Text),
        }
    }

    /// At the end there may be padding to four bytes, as DDS adds it.
    pub(crate) fn finish(&self) -> Result<(), CdrError> {
        if self.body.len() - self.at <= 3 { Ok(()) } else { Err(CdrError::Trailing) }
    }
}
