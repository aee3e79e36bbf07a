DROP TABLE image_cache;
DROP FUNCTION image_cache_mark_changed();
