-- Stores one part of an upload whose row follows. $1 name, $2 which part, $3 base64. Again: it stays as it is.
-- Safe to send twice.
INSERT INTO upload_part (temp_filename, part, image_data)
VALUES ($1::text, $2::bigint, $3::text)
ON CONFLICT DO NOTHING
