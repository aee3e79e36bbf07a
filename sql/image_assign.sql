-- Makes a live image the one of an entity, in front of others that this entity has. $1 collection, $2 path, $3 content
-- type, $4 object, $5 variant; null: as it is, empty: none.
-- Safe to send twice.
-- Returns at most one row: bigint
UPDATE image_cache
SET content_type = nullif(coalesce($3::text, content_type), ''), object_id = nullif(coalesce($4::text, object_id), ''),
    variant = nullif(coalesce($5::text, variant), '')
WHERE collection = $1::text AND original_path = $2::text AND deleted_at IS NULL
RETURNING id
