"""The values that the fields of a creative can take, with their names in Chinese and English."""

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A value that knows its names: `Color.RED` is the text "red", its `zh` is "红色", its `en` is "red"."""

    zh: str
    """The Chinese name."""
    en: str
    """The English name."""

    def __new__(cls, value: str, zh: str = "", en: str = "") -> Self:
        """The member `value` with its names."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.zh, member.en = zh, en
        return member


class Orientation(Word):
    """How the screen is held that the creative fills."""

    LANDSCAPE = "landscape", "横屏", "landscape"
    PORTRAIT = "portrait", "竖屏", "portrait"
    SQUARE = "square", "方形", "square"


class Color(Word):
    """The eleven basic colour terms (Berlin and Kay, 1969), which most languages name."""

    RED = "red", "红色", "red"
    ORANGE = "orange", "橙色", "orange"
    YELLOW = "yellow", "黄色", "yellow"
    GREEN = "green", "绿色", "green"
    BLUE = "blue", "蓝色", "blue"
    PURPLE = "purple", "紫色", "purple"
    PINK = "pink", "粉色", "pink"
    BROWN = "brown", "棕色", "brown"
    BLACK = "black", "黑色", "black"
    GREY = "grey", "灰色", "grey"
    WHITE = "white", "白色", "white"


class Clarity(Word):
    """Sharpness of the picture: the blur of its edges as the standard deviation of a Gaussian, in pixels."""

    SHARP = "sharp", "清晰", "sharp"
    SOFT = "soft", "略糊", "soft"
    BLURRY = "blurry", "模糊", "blurry"


class Brightness(Word):
    """How light the picture is."""

    DARK = "dark", "暗", "dark"
    MEDIUM = "medium", "适中", "medium"
    BRIGHT = "bright", "亮", "bright"


class Tone(Word):
    """Colour temperature as people call it."""

    WARM = "warm", "暖色调", "warm"
    NEUTRAL = "neutral", "中性色调", "neutral"
    COOL = "cool", "冷色调", "cool"


class TextType(Word):
    """What the copy of an advertisement does."""

    NONE = "none", "无文案", "no text"
    """There is no text."""
    DISCOUNT = "discount", "优惠", "discount"
    """It names a price, or one that is lower than usual."""
    GIFT = "gift", "福利", "gift"
    """It gives something away."""
    FEATURE = "feature", "功能", "feature"
    """It says what the product does."""
    EMOTION = "emotion", "情感", "emotion"
    """It speaks of a feeling or a moment."""
    SOCIAL_PROOF = "social_proof", "口碑", "social proof"
    """It says how many others use it, or how it ranks."""
    CALL = "call", "号召", "call to action"
    """It asks for an act: try, tap, download."""
    OTHER = "other", "其他文案", "other text"
    """None of these."""


class ObjectType(Word):
    """The main thing that a picture shows."""

    NONE = "none", "无主体", "nothing"
    """A plain ground, with or without text."""
    PERSON = "person", "人物", "person"
    CAT = "cat", "猫", "cat"
    ANIMAL = "animal", "动物", "animal"
    """Any animal but a cat."""
    DRINK = "drink", "饮品", "drink"
    FOOD = "food", "食物", "food"
    FLOWER = "flower", "花", "flower"
    LANDSCAPE = "landscape", "风景", "landscape"
    """Land or water in the open."""
    SKY = "sky", "天空", "sky"
    """The sky, or what stands in it: stars, planets, the moon."""
    BUILDING = "building", "建筑", "building"
    ROOM = "room", "室内", "room"
    """Indoors, furniture."""
    VEHICLE = "vehicle", "交通工具", "vehicle"
    ROCKET = "rocket", "火箭", "rocket"
    CLOTHING = "clothing", "服饰", "clothing"
    """What is worn: clothes, shoes, bags, jewellery."""
    ELECTRONICS = "electronics", "电子产品", "electronics"
    COINS = "coins", "钱币", "coins"
    """Coins, notes, means of payment."""
    TOOL = "tool", "器物", "thing"
    """Any other thing made by people."""
    OTHER = "other", "其他", "other"
