"""Pictures as other programs save them, 8 x 8, with the settings these write and where they write them (Pillow, as they all do but sd.cpp):
test/fixtures/recorded/*. The same are what fuzzing begins with: test/fuzz/corpus/recorded, 'f' and a file, or a letter and a text.

    python test/reference/make_recorded.py
"""
import json
import pathlib
import struct
import zlib

from PIL import Image, PngImagePlugin

HERE = pathlib.Path(__file__).resolve().parents[1]
OUT = HERE / "fixtures/recorded"
CORPUS = HERE / "fuzz/corpus/recorded"

A1111 = """a cat, (red:1.2)
on two lines
Negative prompt: ugly,
blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned, VAE: "a, b: \\"c\\".pt", Denoising strength: 0.6, Clip skip: 2, ENSD: 31337, RNG: CPU, Version: v1.10.1"""

A1111_OLD = "a cat\nSteps: 30, Sampler: DPM++ SDE Karras, CFG scale: 7, Seed: 5, Size: 516x512, Model: x"

SDCPP = """un phare — 灯台
Steps: 20, CFG scale: 7.000000, Skip layers: [7, 8, 9, ], Guidance: 3.500000, Eta: 0.000000, Seed: 42, Size: 512x512, Model: sd.gguf, \
RNG: cuda, Sampler: euler_a discrete, Version: stable-diffusion.cpp, SDCPP: {"sampler":{"steps":20,"seed": 42},"x":["a, b"]}"""

COMFY = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 156680208700286000, "steps": 25, "cfg": 8, "sampler_name": "dpmpp_2m", "scheduler": "karras",
          "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 640, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a galaxy bottle", "clip": ["4", 1]}, "_meta": {"title": "positive"}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
}
COMFY_LORA = json.loads(json.dumps(COMFY))
COMFY_LORA["10"] = {"class_type": "LoraLoader", "inputs": {"lora_name": "l.safetensors", "strength_model": 0.8, "model": ["4", 0], "clip": ["4", 1]}}
COMFY_LORA["3"]["inputs"].update(model=["10", 0], scheduler="normal", denoise=0.5)
COMFY_TWO = dict(COMFY, **{"20": COMFY["3"]})

INVOKE = {"generation_mode": "txt2img", "positive_prompt": "a dog", "negative_prompt": "", "width": 512, "height": 512, "seed": 1234567890,
          "rand_device": "cpu", "cfg_scale": 7.5, "cfg_rescale_multiplier": 0.2, "steps": 30, "scheduler": "euler_k", "clip_skip": 1,
          "seamless_x": False, "model": {"key": "k", "hash": "blake3:00", "name": "stable-diffusion-v1-5", "base": "sd-1", "type": "main"},
          "loras": [{"model": {"name": "l"}, "weight": 0.75}], "strength": None, "app_version": "5.6.0"}

MFLUX = {"mflux_version": "0.9.6", "model": "dev", "base_model": "None", "seed": 42042, "steps": 14, "guidance": 3.5, "height": 1024, "width": 768,
         "precision": "mlx.core.bfloat16", "quantize": 8, "generation_time_seconds": 42.0, "lora_paths": None, "image_path": None,
         "prompt": "déjà vu", "negative_prompt": None}

OWN = {"v": 1, "version": "9.8.7", "prompt": "a fox", "negative": None, "seed": 18446744073709551615, "steps": 3, "guidance": 2.5,
       "guidance_rescale": 0, "width": 64, "height": 72, "scheduler": "euler,karras", "eta": 0, "clip_skip": 1, "rng": "cuda:40",
       "rng_dtype": "fp32", "image": "-", "strength": 0.5, "mask": None, "invert_mask": True, "latents": None, "variant": None,
       "scheduler_class": "EulerDiscreteScheduler", "sampler": "Euler", "schedule_type": "Karras", "model": "org/name", "revision": "ab" * 20,
       "dtype": "fp16", "device": "cuda:0", "components": {"unet": "00ff"}, "novelty": 7}


def picture():
    return Image.new("RGB", (8, 8), (200, 30, 40))


def png(name, **texts):
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    picture().save(OUT / name, pnginfo=info)


def user_comment(text, encoding="utf-16-be"):
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"UNICODE\0" + text.encode(encoding)}
    return exif


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def insert(name, *chunks):
    """Before IEND, as those do who come after the encoder."""
    data = (OUT / name).read_bytes()
    (OUT / name).write_bytes(data[:-12] + b"".join(chunks) + data[-12:])


def main():
    OUT.mkdir(exist_ok=True)
    CORPUS.mkdir(exist_ok=True)
    png("a1111.png", parameters=A1111)
    png("a1111-old.png", parameters=A1111_OLD)
    picture().save(OUT / "a1111.jpg", exif=user_comment(A1111))
    picture().save(OUT / "a1111.webp", exif=user_comment(A1111), lossless=True)
    picture().save(OUT / "little.jpg", exif=user_comment("a cat 🐱\nSteps: 4, Seed: 1, Size: 64x64", "utf-16-le"))
    png("comfy.png", prompt=json.dumps(COMFY), workflow="{}")
    png("comfy-lora.png", prompt=json.dumps(COMFY_LORA))
    png("comfy-two.png", prompt=json.dumps(COMFY_TWO))
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(COMFY)
    picture().save(OUT / "comfy.webp", exif=exif, lossless=True)
    png("invokeai.png", invokeai_metadata=json.dumps(INVOKE))
    png("sdcpp.png")
    insert("sdcpp.png", chunk(b"tEXt", b"parameters\0" + SDCPP.encode()))
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"ASCII\0\0\0" + json.dumps(MFLUX).encode()}
    picture().save(OUT / "mflux.png", exif=exif)
    png("own.png", diffuse=json.dumps(OWN))
    png("packed.png")
    insert("packed.png", chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"nothing")), chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(A1111_OLD.encode())))
    png("none.png", Title="a picture of nobody's")
    for path in OUT.iterdir():
        (CORPUS / path.name).write_bytes(b"f" + path.read_bytes())
    for letter, name, text in (("d", "own", json.dumps(OWN)), ("i", "invokeai", json.dumps(INVOKE)), ("c", "comfy", json.dumps(COMFY)),
                               ("p", "a1111", A1111), ("p", "sdcpp", SDCPP), ("p", "mflux", json.dumps(MFLUX))):
        (CORPUS / name).write_bytes((letter + text).encode())


main()
