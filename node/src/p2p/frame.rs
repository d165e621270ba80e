//! Frames: a u32 little-endian length, then that many bytes.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended or failed.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
    /// A length above what the stream allows: the peer's fault.
    #[error("a frame of {length} bytes, at most {most} allowed")]
    TooLarge {
        /// As claimed.
        length: usize,
        /// As allowed.
        most: usize,
    },
    /// Bytes that are no message: the peer's fault.
    #[error("malformed frame: {0}")]
    Malformed(io::Error),
}

impl FrameError {
    /// Whether the peer broke the protocol, rather than the connection breaking.
    pub fn is_peer_fault(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

/// Reads one frame of at most `most` bytes.
pub async fn read<R: AsyncRead + Unpin>(input: &mut R, most: usize) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; 4];
    input.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(FrameError::TooLarge { length, most });
    }
    // Memory follows what arrives, not what is announced.
    let mut frame = Vec::with_capacity(length.min(16 * 1024));
    let read = input.take(length as u64).read_to_end(&mut frame).await?;
    if read < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(frame)
}

/// Decodes a frame's content; nothing may be left over.
pub fn decode<T: BorshDeserialize>(frame: &[u8]) -> Result<T, FrameError> {
    borsh::from_slice(frame).map_err(FrameError::Malformed)
}

/// A message as a frame, ready to be written to any number of streams.
pub fn encode<T: BorshSerialize>(message: &T) -> Bytes {
    let mut bytes = vec![0; 4];
    message.serialize(&mut bytes).expect("borsh into a Vec fails only on lengths above u32::MAX");
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Bytes::from(bytes)
}

/// Writes frames that are ready.
pub async fn write<W: AsyncWrite + Unpin>(output: &mut W, frame: &[u8]) -> io::Result<()> {
    output.write_all(frame).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    #[tokio::test]
    async fn frames_come_back() {
        let frame = encode(&vec![1u8, 2, 3]);
        let mut input = Cursor::new([&frame[..], &frame[..]].concat());
        for _ in 0..2 {
            let bytes = read(&mut input, 100).await.unwrap();
            assert_eq!(decode::<Vec<u8>>(&bytes).unwrap(), [1, 2, 3]);
        }
        assert!(matches!(read(&mut input, 100).await, Err(FrameError::Io(_))));
    }

    #[tokio::test]
    async fn refuses_what_is_too_large_or_cut_short() {
        let mut huge = Cursor::new(u32::MAX.to_le_bytes().to_vec());
        assert!(matches!(read(&mut huge, 100).await, Err(FrameError::TooLarge { .. })));
        let frame = encode(&vec![1u8, 2, 3]);
        let mut short = Cursor::new(frame[..frame.len() - 1].to_vec());
        assert!(matches!(read(&mut short, 100).await, Err(FrameError::Io(_))));
        assert!(decode::<Vec<u8>>(&[9, 0, 0, 0, 1]).unwrap_err().is_peer_fault());
    }
}
