-- The largest first, in the trash or not.
CREATE INDEX image_cache_size ON image_cache (file_size DESC, id DESC);
