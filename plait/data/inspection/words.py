"""What people call tables, columns, actions and scenarios, in English and Chinese."""

import re

from plait.schema import Columns as C
from plait.schema import TableName

_SEPARATORS = re.compile(r"[\s_\-./]+")
_TOKENS = re.compile(r"[^\W_]+")


def squash(name: str) -> str:
    """`name` without case, blanks and punctuation: `User_ID`, `userId` and `user id` are one."""
    return _SEPARATORS.sub("", name).casefold()


def says(text: str, words: tuple[str, ...]) -> bool:
    """Whether a word of `text` begins with one of `words`; Chinese words count anywhere."""
    text = text.casefold()
    tokens = _TOKENS.findall(text)
    return any(
        word in text if not word.isascii() else any(token.startswith(word) for token in tokens) for word in words
    )


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


TABLE_WORDS: dict[TableName, tuple[str, ...]] = {
    TableName.EXPOSURES: _listed("exposure impression expose show 曝光 展示 展现"),
    TableName.BEHAVIOURS: _listed("behaviour behavior action event interaction click 行为 事件 点击"),
    TableName.CREATIVES: _listed("creative material ads 创意 素材 广告"),
    TableName.USERS: _listed("user member customer profile 用户 会员"),
    TableName.ITEMS: _listed("item product goods app movie video article game catalog 物品 商品 应用 视频 内容 游戏"),
}
"""Words in file or folder names, the telling tables first: a file `user_clicks` holds behaviours."""

COLUMN_WORDS: dict[str, tuple[str, ...]] = {
    C.USER_ID: _listed("userid uid user memberid customerid accountid 用户id 用户 用户编号 会员id"),
    C.ITEM_ID: _listed(
        "itemid iid item productid goodsid sku skuid asin appid videoid movieid articleid contentid gameid "
        "物品id 物品 物品编号 商品id 商品 商品编号 应用id 应用编号 视频id 游戏id"
    ),
    C.CREATIVE_ID: _listed("creativeid adid materialid 创意id 素材id 广告id"),
    C.EXPOSURE_ID: _listed("exposureid impressionid impid exposeid showid 曝光id 曝光编号"),
    C.REQUEST_ID: _listed("requestid reqid traceid 请求id"),
    C.TIME: _listed(
        "time ts timestamp timems eventtime datetime logtime actiontime exposetime showtime createdat "
        "时间 时间戳 曝光时间 行为时间 发生时间 事件时间"
    ),
    C.RECEIVED_TIME: _listed("receivedtime receivedat arrivaltime reporttime 接收时间 上报时间"),
    C.SCENARIO: _listed("scenario scene sceneid slot slotid placement tab 场景 场景id 广告位"),
    C.POSITION: _listed("position pos rank 位置 排序 坑位"),
    C.PROPENSITY: _listed("propensity propensityscore pscore"),
    C.QUERY: _listed("query keyword searchterm 搜索词 查询词 关键词"),
    C.ACTION: _listed(
        "action actiontype event eventtype eventname behavior behaviour behaviortype behaviourtype "
        "行为 行为类型 事件 事件类型 动作"
    ),
    C.VALUE: _listed("value rating score amount 数值 评分 金额"),
    C.NAME: _listed("name title itemname appname productname 名称 标题 应用名称 商品名称"),
    C.CATEGORY_1: _listed("category1 category cate1 cate genre firstcategory 类目 分类 一级类目 一级分类"),
    C.CATEGORY_2: _listed("category2 cate2 subcategory secondcategory 二级类目 二级分类"),
    C.CATEGORY_3: _listed("category3 cate3 thirdcategory 三级类目 三级分类"),
    C.DESCRIPTION: _listed("description desc summary intro 描述 简介 介绍"),
    C.MEDIA: _listed("media image imageurl imagepath videourl videopath file 图片 视频 文件"),
    C.TEXT: _listed("text copy adtext slogan 文案 文本"),
    C.ADVERTISER: _listed("advertiser advertiserid 广告主 广告主id"),
    C.BID: _listed("bid bidprice 出价"),
}
"""Names of Plait's columns, squashed (see `squash`)."""

SHOWN_ACTIONS = frozenset(_listed("impression exposure expose show shown imp 曝光 展示 展现"))
"""Actions that repeat the exposure: no objectives."""

FUNNEL: tuple[tuple[str, ...], ...] = (
    _listed("click clk tap 点击"),
    _listed("detail detailview view 详情 浏览"),
    _listed("cart addtocart 加购 加入购物车"),
    _listed("download 下载"),
    _listed("install 安装"),
    _listed("open activate activation launch 激活 打开 启动"),
    _listed("register signup registration 注册"),
    _listed("order 下单"),
    _listed("pay purchase buy payment 付费 购买 支付"),
)
"""Steps that follow each other on most platforms."""
LATE_STEP = 5
"""From this step on (open, register, pay) people take days."""

UNWANTED = frozenset(_listed("dislike hate uninstall report hide complain 不喜欢 卸载 举报 踩"))
"""Actions that one wants to avoid."""

SCENARIO_KINDS: dict[str, tuple[str, ...]] = {
    "search": _listed("search query 搜索"),
    "ads": _listed("ad ads advert splash banner 广告"),
    "games": _listed("game 游戏"),
}
"""Words in scenario names that tell their kind."""

OUTCOMES = frozenset(
    _listed(
        "click isclick clicked label islike liked converted conversion isconversion ctr cvr isdownload ispay purchased "
        "target 点击 是否点击 是否转化 标签"
    )
)
"""Columns of exposures that say what came after: labels, never features."""

PERSONAL = _listed("phone mobile email password idcard realname 手机 邮箱 密码 身份证 姓名 电话")
"""Columns that name a person."""
