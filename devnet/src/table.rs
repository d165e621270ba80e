//! Tables of text.

/// Rows under a header, in columns as wide as their longest cell.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same as Markdown.
pub fn markdown<const N: usize>(rows: &[[String; N]]) -> String {
    let line = |row: &[String; N]| format!("| {} |", row.join(" | "));
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1.min(lines.len()), format!("|{}", "---|".repeat(N)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{markdown, table};

    #[test]
    fn columns_are_as_wide_as_need_be() {
        let rows = [["a".to_owned(), "bb".to_owned()], ["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "a    bb\nccc  d");
        assert_eq!(markdown(&rows), "| a | bb |\n|---|---|\n| ccc | d |");
    }
}
