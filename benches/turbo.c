// Time of libjpeg-turbo, for benches/jpeg-speed: cc -O2 turbo.c -ljpeg
// turbo WIDTH HEIGHT IN.jfif.yuv OUT.jpg QUALITY standard|optimised ROUNDS
// prints CPU milliseconds of the fastest round: encoding from planes, decoding to planes, decoding to coefficients.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jpeglib.h>

static unsigned char *file;
static unsigned long length;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static void encode(int w, int h, unsigned char *yuv, int quality, int optimise)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file, &length);
    c.image_width = w, c.image_height = h, c.input_components = 3, c.in_color_space = JCS_YCbCr;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    c.raw_data_in = TRUE, c.optimize_coding = optimise;
    jpeg_start_compress(&c, TRUE);
    unsigned char *plane[3] = {yuv, yuv + w * h, yuv + w * h * 5 / 4};
    JSAMPROW rows[3][16];
    JSAMPARRAY all[3] = {rows[0], rows[1], rows[2]};
    while (c.next_scanline < c.image_height) {
        int first = c.next_scanline;
        for (int i = 0; i < 16; i++)
            rows[0][i] = plane[0] + (first + i < h ? first + i : h - 1) * w;
        for (int p = 1; p < 3; p++)
            for (int i = 0; i < 8; i++)
                rows[p][i] = plane[p] + (first / 2 + i < h / 2 ? first / 2 + i : h / 2 - 1) * (w / 2);
        jpeg_write_raw_data(&c, all, 16);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
}

static void decode(unsigned char *room, int w, int coefficients)
{
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr e;
    c.err = jpeg_std_error(&e);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, file, length);
    jpeg_read_header(&c, TRUE);
    if (coefficients) {
        jpeg_read_coefficients(&c);
    } else {
        c.raw_data_out = TRUE;
        jpeg_start_decompress(&c);
        JSAMPROW rows[3][16];
        JSAMPARRAY all[3] = {rows[0], rows[1], rows[2]};
        for (int i = 0; i < 48; i++)
            rows[i / 16][i % 16] = room + i * (w + 64);
        while (c.output_scanline < c.output_height)
            jpeg_read_raw_data(&c, all, 16);
    }
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
}

int main(int n, char **a)
{
    if (n != 8)
        return 2;
    int w = atoi(a[1]), h = atoi(a[2]), size = w * h * 3 / 2;
    unsigned char *yuv = malloc(size), *room = malloc(48 * (w + 64));
    FILE *f = fopen(a[3], "rb");
    if (!f || fread(yuv, 1, size, f) != (size_t)size)
        return 1;
    double best[3] = {1e9, 1e9, 1e9};
    for (int i = 0; i < atoi(a[7]); i++)
        for (int k = 0; k < 3; k++) {
            double t = now();
            if (k == 0)
                encode(w, h, yuv, atoi(a[5]), !strcmp(a[6], "optimised"));
            else
                decode(room, w, k == 2);
            t = now() - t;
            if (t < best[k])
                best[k] = t;
        }
    f = fopen(a[4], "wb");
    if (!f || fwrite(file, 1, length, f) != length || fclose(f))
        return 1;
    printf("%.3f %.3f %.3f\n", best[0], best[1], best[2]);
    return 0;
}
