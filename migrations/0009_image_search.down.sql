DROP INDEX image_cache_size;
