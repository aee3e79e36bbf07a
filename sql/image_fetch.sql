-- The bytes of a batch of images, in the trash or not. $1 ids.
SELECT id, collection, original_path, content_type, object_id, variant, content_type_header, image_url, file_size, sha256,
       width, height, source_mtime, source_mtime_ns, created_at, updated_at, last_accessed, access_count, deleted_at,
       image_data
FROM image_cache
WHERE id = ANY ($1::bigint[])
